;; Must end by `trap`.
;; Exports `run` with a shape that is not the contract's. The host may also refuse to start it.
(component
  (core module $module (func (export "run") (param i32) (result i32) (local.get 0)))
  (core instance $instance (instantiate $module))
  (func $run (param "a" u32) (result u32) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
