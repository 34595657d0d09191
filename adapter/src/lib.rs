//! Turns an unmodified proxy-wasm filter into a component.
