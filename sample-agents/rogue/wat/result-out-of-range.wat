;; Must end by `trap`.
;; Returns a discriminant that no result has.
(component
  (core module $module (func (export "run") (result i32) (i32.const 99)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
