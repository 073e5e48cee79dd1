;; Must end by `memory`.
;; Three memories of 16 MiB: none is beyond a limit of 32 MiB, all of them are. Run it under that limit.
(component
  (core module $store (memory 256))
  (core instance (instantiate $store))
  (core instance (instantiate $store))
  (core instance (instantiate $store))
  (core module $module (func (export "run") (result i32) (i32.const 0)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
