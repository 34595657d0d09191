(module $"proxy-wasm bridge: size"
  (type (;0;) (func (param i32) (result i32)))
  (import "filter" "memory" (memory $filter (;0;) 0))
  (export "memory_pages" (func $memory_pages))
  (func $memory_pages (;0;) (type 0) (param i32) (result i32)
    memory.size
  )
)
