;; The smallest filter that does something: adds `x-hello: from wat` to each response.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add_header_map_value (param $map i32) (param $key i32) (param $key_size i32) (param $value i32) (param $value_size i32) (result i32)))

  (memory (export "memory") 1)
  (data (i32.const 0) "x-hello")
  (data (i32.const 16) "from wat")

  ;; The first byte that `malloc` has not handed out.
  (global $free (mut i32) (i32.const 1024))

  ;; Marks the module as a filter of ABI 0.2.1. Never called.
  (func (export "proxy_abi_version_0_2_1"))

  ;; Returns the address of `size` new bytes, or 0 where the memory is full. Nothing is ever freed: this filter asks
  ;; the host for nothing that would need an allocation. A host refuses a filter without an allocator all the same.
  (func $malloc (export "malloc") (param $size i32) (result i32)
    (local $address i32)
    (local.set $address (global.get $free))
    (if (i32.gt_u (local.get $size) (i32.sub (i32.const 65536) (local.get $address)))
      (then (return (i32.const 0))))
    (global.set $free (i32.add (local.get $address) (local.get $size)))
    (local.get $address))

  (func $on_response_headers (export "proxy_on_response_headers")
    (param $context i32) (param $count i32) (param $end_of_stream i32) (result i32)
    ;; Map 2 holds the response headers. The status that comes back is 0: nothing can go wrong here.
    (drop (call $add_header_map_value
      (i32.const 2) (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 8)))
    ;; 0: continue.
    (i32.const 0)))
