(module $"proxy-wasm bridge"
  (type (;0;) (func (param i32 i32) (result i32)))
  (type (;1;) (func (param i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func))
  (type (;4;) (func (param i32 i32 i32 i32)))
  (type (;5;) (func (param i32 i32) (result i64)))
  (type (;6;) (func (param i32 i32 i32) (result i32)))
  (type (;7;) (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
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
  (export "fact" (func $fact))
  (export "allocate" (func $allocate))
  (export "foreign" (func $foreign))
  (export "start" (func $start))
  (export "call" (func $call))
  (func $settings_read (;5;) (type 1) (param i32)
    local.get 0
    i32.const 0
    i32.const 8
    memory.init 0
  )
  (func $memory_pages (;6;) (type 2) (param i32) (result i32)
    memory.size $filter
  )
  (func $memory_read (;7;) (type 4) (param i32 i32 i32 i32)
    local.get 1
    local.get 2
    local.get 3
    memory.copy $shim $filter
  )
  (func $memory_write (;8;) (type 4) (param i32 i32 i32 i32)
    local.get 1
    local.get 2
    local.get 3
    memory.copy $filter $shim
  )
  (func $fact (;9;) (type 5) (param i32 i32) (result i64)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          block ;; label = @4
            block ;; label = @5
              block ;; label = @6
                block ;; label = @7
                  block ;; label = @8
                    local.get 1
                    br_table 0 (;@8;) 1 (;@7;) 2 (;@6;) 3 (;@5;) 4 (;@4;) 5 (;@3;) 6 (;@2;) 7 (;@1;)
                  end
                  i64.const 8
                  return
                end
                i64.const 2
                return
              end
              i64.const 2097184
              return
            end
            i64.const 32
            return
          end
          i64.const 0
          return
        end
        i64.const 0
        return
      end
      i64.const 3
      return
    end
    i64.const 0
  )
  (func $allocate (;10;) (type 0) (param i32 i32) (result i32)
    local.get 1
    call $filter.malloc
  )
  (func $foreign (;11;) (type 1) (param i32))
  (func $start (;12;) (type 0) (param i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 1
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;) 2 (;@1;) 2 (;@1;)
        end
        call $filter._initialize
        i32.const 0
        return
      end
      i32.const 0
      i32.const 0
      call $filter.main
      return
    end
    i32.const 0
  )
  (func $proxy_on_request_headers (;13;) (type 6) (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    call $filter.proxy_on_request_headers
  )
  (func $proxy_on_log (;14;) (type 1) (param i32)
    local.get 0
    call $filter.proxy_on_log
  )
  (func $call (;15;) (type 7) (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 1
          br_table 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 0 (;@3;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 2 (;@1;) 1 (;@2;) 2 (;@1;) 2 (;@1;) 2 (;@1;)
        end
        local.get 2
        local.get 3
        local.get 4
        call $proxy_on_request_headers
        return
      end
      local.get 2
      call $proxy_on_log
      i32.const 0
      return
    end
    i32.const 0
  )
  (data (;0;) "settings")
)
