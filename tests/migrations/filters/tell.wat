;; Logs what it is told, byte by byte in hexadecimal digits: its configuration and that of its VM, its name, its ids and its
;; environment.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environment_size (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environment (param i32 i32) (result i32)))
  (memory (export "memory") 16)
  (data (i32.const 0) "0123456789abcdef")
  (data (i32.const 16) "vm_configuration ")
  (data (i32.const 48) "configuration ")
  (data (i32.const 80) "plugin_name ")
  (data (i32.const 112) "plugin_root_id ")
  (data (i32.const 144) "plugin_vm_id ")
  (data (i32.const 176) "environment ")
  ;; 200, 204: where an answer is, and its length. 1024: the line. 65536: the heap.
  (global $heap (mut i32) (i32.const 65536))

  (func (export "proxy_abi_version_0_2_1"))

  (func $allocate (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    global.get $heap
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.add (local.get $size) (i32.const 15))) (i32.const -16))))

  ;; Logs a label and these bytes.
  (func $tell (param $label i32) (param $length i32) (param $at i32) (param $size i32)
    (local $to i32)
    (memory.copy (i32.const 1024) (local.get $label) (local.get $length))
    (local.set $to (i32.add (i32.const 1024) (local.get $length)))
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
    (drop (call $log (i32.const 2) (i32.const 1024) (i32.sub (local.get $to) (i32.const 1024)))))

  ;; Logs the property whose path is the label without its last character.
  (func $tell_property (param $label i32) (param $length i32)
    (i64.store (i32.const 200) (i64.const 0))
    (drop (call $property (local.get $label) (i32.sub (local.get $length) (i32.const 1)) (i32.const 200) (i32.const 204)))
    (call $tell (local.get $label) (local.get $length) (i32.load (i32.const 200)) (i32.load (i32.const 204))))

  (func $tell_buffer (param $label i32) (param $length i32) (param $buffer i32) (param $size i32)
    (i64.store (i32.const 200) (i64.const 0))
    (drop (call $buffer (local.get $buffer) (i32.const 0) (local.get $size) (i32.const 200) (i32.const 204)))
    (call $tell (local.get $label) (local.get $length) (i32.load (i32.const 200)) (i32.load (i32.const 204))))

  (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32)
    (local $pointers i32) (local $text i32)
    (call $tell_buffer (i32.const 16) (i32.const 17) (i32.const 6) (local.get $size))
    (drop (call $environment_size (i32.const 200) (i32.const 204)))
    (local.set $pointers (call $allocate (i32.mul (i32.load (i32.const 200)) (i32.const 4))))
    (local.set $text (call $allocate (i32.load (i32.const 204))))
    (drop (call $environment (local.get $pointers) (local.get $text)))
    (call $tell (i32.const 176) (i32.const 12) (local.get $text) (i32.load (i32.const 204)))
    i32.const 1)

  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (call $tell_buffer (i32.const 48) (i32.const 14) (i32.const 7) (local.get $size))
    (call $tell_property (i32.const 80) (i32.const 12))
    (call $tell_property (i32.const 112) (i32.const 15))
    (call $tell_property (i32.const 144) (i32.const 13))
    i32.const 1))
