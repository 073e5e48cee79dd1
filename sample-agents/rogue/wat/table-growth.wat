;; Must end by `table`.
;; Grows its own table until somebody stops it. No compiled language reaches `table.grow`.
(component
  (core module $module
    (table 1 funcref)
    (func (export "run") (result i32)
      (loop $again
        (drop (table.grow (ref.null func) (i32.const 1024)))
        (br $again))
      unreachable))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
