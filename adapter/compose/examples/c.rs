fn main() {
    let a: Vec<_> = std::env::args().skip(2).map(|f| std::fs::read(f).unwrap()).collect();
    match proxy_wasm_adapter_compose::compose(&a) {
        Ok(b) => std::fs::write(std::env::args().nth(1).unwrap(), b).unwrap(),
        Err(e) => println!("{e}"),
    }
}
