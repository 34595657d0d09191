(module $"proxy-wasm bridge: settings"
  (type (;0;) (func (param i32)))
  (import "shim" "memory" (memory $shim (;0;) 0))
  (export "settings_read" (func $settings_read))
  (func $settings_read (;0;) (type 0) (param i32)
    local.get 0
    i32.const 0
    i32.const 8
    memory.init 0
  )
  (data (;0;) "settings")
)
