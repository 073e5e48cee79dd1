;; Must end by `memory`.
;; Declares 2 GiB of memory instead of growing into them.
(component
  (core module $module
    (memory 32768)
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
