(module $"proxy-wasm bridge"
  (type (;0;) (func (param i32 i32) (result i32)))
  (type (;1;) (func (param i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func))
  (type (;4;) (func (param i32 i32 i32)))
  (type (;5;) (func (result i32)))
  (type (;6;) (func (result i64)))
  (type (;7;) (func (param i32 i32)))
  (type (;8;) (func (param i32 i32 i32) (result i32)))
  (type (;9;) (func (param i32 i32 i32 i32 i32)))
  (import "filter" "proxy_on_request_headers" (func $filter.proxy_on_request_headers (;0;) (type 0) (param i32 i32) (result i32)))
  (import "filter" "proxy_on_log" (func $filter.proxy_on_log (;1;) (type 1) (param i32)))
  (import "filter" "malloc" (func $filter.malloc (;2;) (type 2) (param i32) (result i32)))
  (import "filter" "_initialize" (func $filter._initialize (;3;) (type 3)))
  (import "filter" "main" (func $filter.main (;4;) (type 0) (param i32 i32) (result i32)))
  (import "bridge-copy" "memory_read" (func $bridge-copy.memory_read (;5;) (type 4) (param i32 i32 i32)))
  (import "bridge-copy" "memory_write" (func $bridge-copy.memory_write (;6;) (type 4) (param i32 i32 i32)))
  (import "bridge-settings" "settings_read" (func $bridge-settings.settings_read (;7;) (type 1) (param i32)))
  (import "bridge-size" "memory_pages" (func $bridge-size.memory_pages (;8;) (type 5) (result i32)))
  (export "memory_read" (func $bridge-copy.memory_read))
  (export "memory_write" (func $bridge-copy.memory_write))
  (export "settings_read" (func $bridge-settings.settings_read))
  (export "memory_pages" (func $bridge-size.memory_pages))
  (export "settings_size" (func $settings_size))
  (export "abi_version" (func $abi_version))
  (export "callbacks" (func $callbacks))
  (export "allocate" (func $allocate))
  (export "start" (func $start))
  (export "proxy_on_context_create" (func $proxy_on_context_create))
  (export "proxy_on_vm_start" (func $proxy_on_vm_start))
  (export "proxy_validate_configuration" (func $proxy_validate_configuration))
  (export "proxy_on_configure" (func $proxy_on_configure))
  (export "proxy_on_tick" (func $proxy_on_tick))
  (export "proxy_on_request_headers" (func $proxy_on_request_headers))
  (export "proxy_on_request_body" (func $proxy_on_request_body))
  (export "proxy_on_request_trailers" (func $proxy_on_request_trailers))
  (export "proxy_on_request_metadata" (func $proxy_on_request_metadata))
  (export "proxy_on_response_headers" (func $proxy_on_response_headers))
  (export "proxy_on_response_body" (func $proxy_on_response_body))
  (export "proxy_on_response_trailers" (func $proxy_on_response_trailers))
  (export "proxy_on_response_metadata" (func $proxy_on_response_metadata))
  (export "proxy_on_http_call_response" (func $proxy_on_http_call_response))
  (export "proxy_on_grpc_receive_initial_metadata" (func $proxy_on_grpc_receive_initial_metadata))
  (export "proxy_on_grpc_receive" (func $proxy_on_grpc_receive))
  (export "proxy_on_grpc_receive_trailing_metadata" (func $proxy_on_grpc_receive_trailing_metadata))
  (export "proxy_on_grpc_close" (func $proxy_on_grpc_close))
  (export "proxy_on_queue_ready" (func $proxy_on_queue_ready))
  (export "proxy_on_foreign_function" (func $proxy_on_foreign_function))
  (export "proxy_on_done" (func $proxy_on_done))
  (export "proxy_on_log" (func $proxy_on_log))
  (export "proxy_on_delete" (func $proxy_on_delete))
  (func $settings_size (;9;) (type 5) (result i32)
    i32.const 8
  )
  (func $abi_version (;10;) (type 5) (result i32)
    i32.const 2
  )
  (func $callbacks (;11;) (type 6) (result i64)
    i64.const 2097184
  )
  (func $allocate (;12;) (type 2) (param i32) (result i32)
    local.get 0
    call $filter.malloc
  )
  (func $start (;13;) (type 3)
    call $filter._initialize
    i32.const 0
    i32.const 0
    call $filter.main
    drop
  )
  (func $proxy_on_context_create (;14;) (type 7) (param i32 i32))
  (func $proxy_on_vm_start (;15;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_validate_configuration (;16;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_configure (;17;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_tick (;18;) (type 1) (param i32))
  (func $proxy_on_request_headers (;19;) (type 8) (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    call $filter.proxy_on_request_headers
  )
  (func $proxy_on_request_body (;20;) (type 8) (param i32 i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_request_trailers (;21;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_request_metadata (;22;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_response_headers (;23;) (type 8) (param i32 i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_response_body (;24;) (type 8) (param i32 i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_response_trailers (;25;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_response_metadata (;26;) (type 0) (param i32 i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_http_call_response (;27;) (type 9) (param i32 i32 i32 i32 i32))
  (func $proxy_on_grpc_receive_initial_metadata (;28;) (type 4) (param i32 i32 i32))
  (func $proxy_on_grpc_receive (;29;) (type 4) (param i32 i32 i32))
  (func $proxy_on_grpc_receive_trailing_metadata (;30;) (type 4) (param i32 i32 i32))
  (func $proxy_on_grpc_close (;31;) (type 4) (param i32 i32 i32))
  (func $proxy_on_queue_ready (;32;) (type 7) (param i32 i32))
  (func $proxy_on_foreign_function (;33;) (type 4) (param i32 i32 i32))
  (func $proxy_on_done (;34;) (type 2) (param i32) (result i32)
    i32.const 0
  )
  (func $proxy_on_log (;35;) (type 1) (param i32)
    local.get 0
    call $filter.proxy_on_log
  )
  (func $proxy_on_delete (;36;) (type 1) (param i32))
)
