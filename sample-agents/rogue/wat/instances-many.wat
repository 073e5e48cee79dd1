;; Must end by `instances`.
;; Three components deep, each instantiated four times by the next: 65 core instances from a few lines.
(component
  (component $a
    (core module $m)
    (core instance (instantiate $m)) (core instance (instantiate $m))
    (core instance (instantiate $m)) (core instance (instantiate $m)))
  (component $b
    (alias outer 1 $a (component $a))
    (instance (instantiate $a)) (instance (instantiate $a)) (instance (instantiate $a)) (instance (instantiate $a)))
  (component $c
    (alias outer 1 $b (component $b))
    (instance (instantiate $b)) (instance (instantiate $b)) (instance (instantiate $b)) (instance (instantiate $b)))
  (instance (instantiate $c)) (instance (instantiate $c)) (instance (instantiate $c)) (instance (instantiate $c))
  (core module $module (func (export "run") (result i32) (i32.const 0)))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
