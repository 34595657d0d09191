(module $"proxy-wasm bridge"
  (type (;0;) (func (param i32 i32) (result i32)))
  (type (;1;) (func (param i32)))
  (type (;2;) (func (param i32) (result i32)))
  (type (;3;) (func))
  (type (;4;) (func (param i32 i32 i32 i32)))
  (type (;5;) (func (param i32 i32) (result i64)))
  (type (;6;) (func (param i32 i32 i32) (result i32)))
  (type (;7;) (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "filter" "proxy_on_request_headers" (func $filter.proxy_on_request_headers (;0;) (type 0) (param i32 i32) (result i32)))
  (import "filter" "proxy_on_log" (func $filter.proxy_on_log (;1;) (type 1) (param i32)))
  (import "filter" "malloc" (func $filter.malloc (;2;) (type 2) (param i32) (result i32)))
  (import "filter" "_initialize" (func $filter._initialize (;3;) (type 3)))
  (import "filter" "main" (func $filter.main (;4;) (type 0) (param i32 i32) (result i32)))
  (import "filter-2" "proxy_on_request_headers" (func $filter-2.proxy_on_request_headers (;5;) (type 0) (param i32 i32) (result i32)))
  (import "filter-2" "proxy_on_log" (func $filter-2.proxy_on_log (;6;) (type 1) (param i32)))
  (import "filter-2" "malloc" (func $filter-2.malloc (;7;) (type 2) (param i32) (result i32)))
  (import "filter-2" "_initialize" (func $filter-2._initialize (;8;) (type 3)))
  (import "filter-2" "main" (func $filter-2.main (;9;) (type 0) (param i32 i32) (result i32)))
  (import "bridge-copy" "memory_read" (func $bridge-copy.memory_read (;10;) (type 4) (param i32 i32 i32 i32)))
  (import "bridge-copy-2" "memory_read" (func $bridge-copy-2.memory_read (;11;) (type 4) (param i32 i32 i32 i32)))
  (import "bridge-copy" "memory_write" (func $bridge-copy.memory_write (;12;) (type 4) (param i32 i32 i32 i32)))
  (import "bridge-copy-2" "memory_write" (func $bridge-copy-2.memory_write (;13;) (type 4) (param i32 i32 i32 i32)))
  (import "bridge-size" "memory_pages" (func $bridge-size.memory_pages (;14;) (type 2) (param i32) (result i32)))
  (import "bridge-size-2" "memory_pages" (func $bridge-size-2.memory_pages (;15;) (type 2) (param i32) (result i32)))
  (import "bridge-settings" "settings_read" (func $bridge-settings.settings_read (;16;) (type 1) (param i32)))
  (export "settings_read" (func $bridge-settings.settings_read))
  (export "memory_read" (func $memory_read))
  (export "memory_write" (func $memory_write))
  (export "memory_pages" (func $memory_pages))
  (export "fact" (func $fact))
  (export "allocate" (func $allocate))
  (export "foreign" (func $foreign))
  (export "start" (func $start))
  (export "call" (func $call))
  (func $memory_read (;17;) (type 4) (param i32 i32 i32 i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        local.get 0
        local.get 1
        local.get 2
        local.get 3
        call $bridge-copy.memory_read
        return
      end
      local.get 0
      local.get 1
      local.get 2
      local.get 3
      call $bridge-copy-2.memory_read
      return
    end
    unreachable
  )
  (func $memory_write (;18;) (type 4) (param i32 i32 i32 i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        local.get 0
        local.get 1
        local.get 2
        local.get 3
        call $bridge-copy.memory_write
        return
      end
      local.get 0
      local.get 1
      local.get 2
      local.get 3
      call $bridge-copy-2.memory_write
      return
    end
    unreachable
  )
  (func $memory_pages (;19;) (type 2) (param i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        local.get 0
        call $bridge-size.memory_pages
        return
      end
      local.get 0
      call $bridge-size-2.memory_pages
      return
    end
    unreachable
  )
  (func $fact (;20;) (type 5) (param i32 i32) (result i64)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        block ;; label = @3
          block ;; label = @4
            block ;; label = @5
              block ;; label = @6
                block ;; label = @7
                  block ;; label = @8
                    block ;; label = @9
                      block ;; label = @10
                        local.get 1
                        br_table 0 (;@10;) 1 (;@9;) 2 (;@8;) 3 (;@7;) 4 (;@6;) 5 (;@5;) 6 (;@4;) 7 (;@3;)
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
        return
      end
      block ;; label = @2
        block ;; label = @3
          block ;; label = @4
            block ;; label = @5
              block ;; label = @6
                block ;; label = @7
                  block ;; label = @8
                    block ;; label = @9
                      local.get 1
                      br_table 0 (;@9;) 1 (;@8;) 2 (;@7;) 3 (;@6;) 4 (;@5;) 5 (;@4;) 6 (;@3;) 7 (;@2;)
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
      return
    end
    unreachable
  )
  (func $allocate (;21;) (type 0) (param i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        local.get 1
        call $filter.malloc
        return
      end
      local.get 1
      call $filter-2.malloc
      return
    end
    unreachable
  )
  (func $foreign (;22;) (type 1) (param i32))
  (func $"start of VM 1 (a)" (;23;) (type 2) (param i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
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
  (func $"start of VM 2 (a)" (;24;) (type 2) (param i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;) 2 (;@1;) 2 (;@1;)
        end
        call $filter-2._initialize
        i32.const 0
        return
      end
      i32.const 0
      i32.const 0
      call $filter-2.main
      return
    end
    i32.const 0
  )
  (func $start (;25;) (type 0) (param i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        local.get 1
        call $"start of VM 1 (a)"
        return
      end
      local.get 1
      call $"start of VM 2 (a)"
      return
    end
    unreachable
  )
  (func $"proxy_on_request_headers of VM 1 (a)" (;26;) (type 6) (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    call $filter.proxy_on_request_headers
  )
  (func $"proxy_on_log of VM 1 (a)" (;27;) (type 1) (param i32)
    local.get 0
    call $filter.proxy_on_log
  )
  (func $"proxy_on_request_headers of VM 2 (a)" (;28;) (type 6) (param i32 i32 i32) (result i32)
    local.get 0
    local.get 1
    call $filter-2.proxy_on_request_headers
  )
  (func $"proxy_on_log of VM 2 (a)" (;29;) (type 1) (param i32)
    local.get 0
    call $filter-2.proxy_on_log
  )
  (func $call (;30;) (type 7) (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 0
          br_table 0 (;@3;) 1 (;@2;) 2 (;@1;)
        end
        block ;; label = @3
          block ;; label = @4
            block ;; label = @5
              local.get 1
              br_table 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 0 (;@5;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 2 (;@3;) 1 (;@4;) 2 (;@3;) 2 (;@3;) 2 (;@3;)
            end
            local.get 2
            local.get 3
            local.get 4
            call $"proxy_on_request_headers of VM 1 (a)"
            return
          end
          local.get 2
          call $"proxy_on_log of VM 1 (a)"
          i32.const 0
          return
        end
        i32.const 0
        return
      end
      block ;; label = @2
        block ;; label = @3
          block ;; label = @4
            local.get 1
            br_table 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 0 (;@4;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 2 (;@2;) 1 (;@3;) 2 (;@2;) 2 (;@2;) 2 (;@2;)
          end
          local.get 2
          local.get 3
          local.get 4
          call $"proxy_on_request_headers of VM 2 (a)"
          return
        end
        local.get 2
        call $"proxy_on_log of VM 2 (a)"
        i32.const 0
        return
      end
      i32.const 0
      return
    end
    unreachable
  )
)
