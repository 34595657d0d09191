;; Looks up the property whose path is its configuration, at each request, and logs the status, as one letter from `a` on, and
;; the value in hexadecimal digits.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  (data (i32.const 0) "0123456789abcdef")
  ;; 200, 204: where an answer is, and its length. 1024: the line. 65536: the heap.
  (global $heap (mut i32) (i32.const 65536))
  (global $path (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    global.get $heap
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.add (local.get $size) (i32.const 15))) (i32.const -16))))

  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $size) (i32.const 200) (i32.const 204)))
    (global.set $path (i32.load (i32.const 200)))
    (global.set $length (i32.load (i32.const 204)))
    i32.const 1)

  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (local $to i32) (local $at i32) (local $size i32)
    (i64.store (i32.const 200) (i64.const 0))
    (i32.store8 (i32.const 1024)
      (i32.add (i32.const 97)
        (call $property (global.get $path) (global.get $length) (i32.const 200) (i32.const 204))))
    (local.set $to (i32.const 1025))
    (local.set $at (i32.load (i32.const 200)))
    (local.set $size (i32.load (i32.const 204)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $size)))
        (i32.store8 (local.get $to)
          (i32.load8_u (i32.shr_u (i32.load8_u (local.get $at)) (i32.const 4))))
        (i32.store8 offset=1 (local.get $to)
          (i32.load8_u (i32.and (i32.load8_u (local.get $at)) (i32.const 15))))
        (local.set $to (i32.add (local.get $to) (i32.const 2)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br $next)))
    (drop (call $log (i32.const 2) (i32.const 1024) (i32.sub (local.get $to) (i32.const 1024))))
    i32.const 0))
