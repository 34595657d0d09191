(module $"proxy-wasm bridge: copy"
  (type (;0;) (func (param i32 i32 i32 i32)))
  (import "shim" "memory" (memory $shim (;0;) 0))
  (import "filter" "memory" (memory $filter (;1;) 0))
  (export "memory_read" (func $memory_read))
  (export "memory_write" (func $memory_write))
  (func $memory_read (;0;) (type 0) (param i32 i32 i32 i32)
    block ;; label = @1
      loop ;; label = @2
        local.get 3
        i32.const 4
        i32.lt_u
        br_if 1 (;@1;)
        local.get 1
        local.get 2
        i32.load $filter align=1
        i32.store align=1
        local.get 1
        i32.const 4
        i32.add
        local.set 1
        local.get 2
        i32.const 4
        i32.add
        local.set 2
        local.get 3
        i32.const -4
        i32.add
        local.set 3
        br 0 (;@2;)
      end
    end
    block ;; label = @1
      loop ;; label = @2
        local.get 3
        i32.const 1
        i32.lt_u
        br_if 1 (;@1;)
        local.get 1
        local.get 2
        i32.load8_u $filter
        i32.store8
        local.get 1
        i32.const 1
        i32.add
        local.set 1
        local.get 2
        i32.const 1
        i32.add
        local.set 2
        local.get 3
        i32.const -1
        i32.add
        local.set 3
        br 0 (;@2;)
      end
    end
  )
  (func $memory_write (;1;) (type 0) (param i32 i32 i32 i32)
    block ;; label = @1
      loop ;; label = @2
        local.get 3
        i32.const 4
        i32.lt_u
        br_if 1 (;@1;)
        local.get 1
        local.get 2
        i32.load align=1
        i32.store $filter align=1
        local.get 1
        i32.const 4
        i32.add
        local.set 1
        local.get 2
        i32.const 4
        i32.add
        local.set 2
        local.get 3
        i32.const -4
        i32.add
        local.set 3
        br 0 (;@2;)
      end
    end
    block ;; label = @1
      loop ;; label = @2
        local.get 3
        i32.const 1
        i32.lt_u
        br_if 1 (;@1;)
        local.get 1
        local.get 2
        i32.load8_u
        i32.store8 $filter
        local.get 1
        i32.const 1
        i32.add
        local.set 1
        local.get 2
        i32.const 1
        i32.add
        local.set 2
        local.get 3
        i32.const -1
        i32.add
        local.set 3
        br 0 (;@2;)
      end
    end
  )
)
