(module $"proxy-wasm joined"
  (type (;0;) (func (param f32)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (result i64)))
  (type (;3;) (func (result i32)))
  (type (;4;) (func (param i32) (result i32)))
  (type (;5;) (func (param i32)))
  (type (;6;) (func (param i32)))
  (type (;7;) (func (param i32) (result i32)))
  (import "wasi" "now" (func (;0;) (type 2) (result i64)))
  (table (;0;) 2 funcref)
  (table (;1;) 1 funcref)
  (memory (;0;) 1)
  (memory (;1;) 3)
  (global (;0;) (mut i32) i32.const 7)
  (global (;1;) (mut i64) i64.const 1)
  (export "memory" (memory 0))
  (export "proxy_log" (func $shim!!!log))
  (export "run" (func 2))
  (elem (;0;) (i32.const 0) func 0 $shim!!!log)
  (elem (;1;) (table 1) (i32.const 0) func $filter!my!proxy_on_log!on_log)
  (func $shim!!!log (;1;) (type 1) (param i32) (result i32)
    local.get 0
    i32.load
  )
  (func (;2;) (type 3) (result i32)
    global.get 0
    call 4
  )
  (func $filter!my!proxy_on_log!on_log (;3;) (type 5) (param i32)
    i32.const 0
    i32.const 0
    i32.const 6
    memory.init 1 1
    i64.const 2
    global.set 1
    local.get 0
    i32.const 8
    call $shim!!!log
    i32.store 1
    local.get 0
    i32.const 0
    call_indirect 1 (type 5)
  )
  (func (;4;) (type 7) (param i32) (result i32)
    local.get 0
    call $filter!my!proxy_on_log!on_log
    i32.const 0
    i32.const 4
    local.get 0
    memory.copy 0 1
    i32.const 1
  )
  (data (;0;) (i32.const 8) "shim")
  (data (;1;) "filter")
)
