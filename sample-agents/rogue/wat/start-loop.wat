;; Must end by `fuel`.
;; Never ends in its start function, which runs when the component is instantiated.
(component
  (core module $module
    (func $start (loop $again (br $again)))
    (func (export "run") (result i32) (i32.const 0))
    (start $start))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
