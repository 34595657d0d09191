(module $"proxy-wasm bridge"
  (type (;0;) (func (param i32 i32) (result i32)))
  (type (;1;) (func (param i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func))
  (type (;4;) (func (result i32)))
  (type (;5;) (func (param i32 i32 i32)))
  (type (;6;) (func (result i64)))
  (type (;7;) (func (param i32 i32 i32) (result i32)))
  (type (;8;) (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "shim" "memory" (memory $shim (;0;) 0))
  (import "filter" "memory" (memory $filter (;1;) 0))
  (import "filter" "proxy_on_request_headers" (func $filter.proxy_on_request_headers (;0;) (type 0) (param i32 i32) (result i32)))
  (import "filter" "proxy_on_log" (func $filter.proxy_on_log (;1;) (type 1) (param i32)))
  (import "filter" "malloc" (func $filter.malloc (;2;) (type 2) (param i32) (result i32)))
  (import "filter" "_initialize" (func $filter._initialize (;3;) (type 3)))
  (import "filter" "main" (func $filter.main (;4;) (type 0) (param i32 i32) (result i32)))
  (export "settings_read" (func $settings_read))
  (export "memory_pages" (func $memory_pages))
  (export "memory_read" (func $memory_read))
  (export "memory_write" (func $memory_write))
  (export "settings_size" (func $settings_size))
  (export "abi_version" (func $abi_version))
  (export "callbacks" (func $callbacks))
  (export "callbacks_of_0_1_0" (func $callbacks_of_0_1_0))
  (export "reads_properties" (func $reads_properties))
  (export "allocator" (func $allocator))
  (export "allocate" (func $allocate))
  (export "foreign" (func $foreign))
  (export "start_functions" (func $start_functions))
  (export "start" (func $start))
  (export "call" (func $call))
  (func $settings_read (;5;) (type 1) (param i32)
    local.get 0
    i32.const 0
    i32.const 8
    memory.init 0
  )
  (func $memory_pages (;6;) (type 4) (result i32)
    memory.size $filter
  )
  (func $memory_read (;7;) (type 5) (param i32 i32 i32)
    local.get 0
    local.get 1
    local.get 2
    memory.copy $shim $filter
  )
  (func $memory_write (;8;) (type 5) (param i32 i32 i32)
    local.get 0
    local.get 1
    local.get 2
    memory.copy $filter $shim
  )
  (func $settings_size (;9;) (type 4) (result i32)
    i32.const 8
  )
  (func $abi_version (;10;) (type 4) (result i32)
    i32.const 2
  )
  (func $callbacks (;11;) (type 6) (result i64)
    i64.const 2097184
  )
  (func $callbacks_of_0_1_0 (;12;) (type 6) (result i64)
    i64.const 32
  )
  (func $reads_properties (;13;) (type 4) (result i32)
    i32.const 0
  )
  (func $allocator (;14;) (type 4) (result i32)
    i32.const 0
  )
  (func $allocate (;15;) (type 2) (param i32) (result i32)
    local.get 0
    call $filter.malloc
  )
  (func $foreign (;16;) (type 1) (param i32))
  (func $start_functions (;17;) (type 4) (result i32)
    i32.const 3
  )
  (func $start (;18;) (type 2) (param i32) (result i32)
    local.get 0
    i32.const 0
    i32.eq
    if ;; label = @1
      call $filter._initialize
      i32.const 0
      return
    end
    local.get 0
    i32.const 1
    i32.eq
    if ;; label = @1
      i32.const 0
      i32.const 0
      call $filter.main
      return
    end
    i32.const 0
  )
  (func $proxy_on_request_headers (;19;) (type 7) (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    call $filter.proxy_on_request_headers
  )
  (func $proxy_on_log (;20;) (type 1) (param i32)
    local.get 0
    call $filter.proxy_on_log
  )
  (func $call (;21;) (type 8) (param i32 i32 i32 i32 i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 0 (;@3;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 1 (;@2;) 2 (;@1;) 2 (;@1;)
        end
        local.get 1
        local.get 2
        local.get 3
        call $proxy_on_request_headers
        return
      end
      local.get 1
      call $proxy_on_log
      i32.const 0
      return
    end
    i32.const 0
  )
  (data (;0;) "settings")
)
