;; Asks the cluster that its configuration names before it lets a request through: any answer of 2xx lets it, any other
;; refuses it.
(module
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $become (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  ;; The head of the question, as the ABI has maps: how many, how long each name and value is, and they.
  (data (i32.const 0) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\06\00\00\00\0a\00\00\00\04\00\00\00")
  (data (i32.const 28) ":method\00GET\00:path\00/check\00:authority\00auth\00")
  (data (i32.const 96) ":status")
  (data (i32.const 112) "refused\n")
  ;; 128: no trailers. 200, 204: where an answer is, and its length.
  (data (i32.const 128) "\00\00\00\00")
  (global $heap (mut i32) (i32.const 65536))
  (global $cluster (mut i32) (i32.const 0))
  (global $length (mut i32) (i32.const 0))
  ;; Whose question the last one is: a response comes to the root context. Requests come one by one.
  (global $stream (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    global.get $heap
    (global.set $heap (i32.and (i32.add (global.get $heap) (i32.add (local.get $size) (i32.const 15))) (i32.const -16))))

  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $size) (i32.const 200) (i32.const 204)))
    (global.set $cluster (i32.load (i32.const 200)))
    (global.set $length (i32.load (i32.const 204)))
    i32.const 1)

  (func (export "proxy_on_request_headers") (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (global.set $stream (local.get $context))
    ;; Where it can't be asked, the request is refused at once.
    (if (call $call (global.get $cluster) (global.get $length) (i32.const 0) (i32.const 69) (i32.const 0) (i32.const 0)
          (i32.const 128) (i32.const 4) (i32.const 1000) (i32.const 208))
      (then (drop (call $answer (i32.const 503) (i32.const 0) (i32.const 0) (i32.const 112) (i32.const 8) (i32.const 128)
              (i32.const 4) (i32.const -1)))))
    i32.const 1)

  (func (export "proxy_on_http_call_response")
    (param $context i32) (param $token i32) (param $headers i32) (param $size i32) (param $trailers i32)
    (i64.store (i32.const 200) (i64.const 0))
    (drop (call $header (i32.const 6) (i32.const 96) (i32.const 7) (i32.const 200) (i32.const 204)))
    (drop (call $become (global.get $stream)))
    (if (i32.and (i32.load (i32.const 204)) (i32.eq (i32.load8_u (i32.load (i32.const 200))) (i32.const 50)))
      (then (drop (call $continue (i32.const 0))))
      (else (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 112) (i32.const 8) (i32.const 128)
        (i32.const 4) (i32.const -1)))))))
