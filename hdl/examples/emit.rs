fn main() {
    let name = std::env::args().nth(1).unwrap_or("base".into());
    let bus = std::env::args().nth(2).map_or(64, |b| b.parse().unwrap());
    let config = frugal_isa::Config::preset(&name).unwrap().with_bus_bits(bus);
    let start = std::time::Instant::now();
    match frugal_hdl::verilog(&config) {
        Ok(file) => { println!("{}", file.text); eprintln!("{:?} {} modules", start.elapsed(), file.modules.len()); }
        Err(e) => { eprintln!("{e}"); std::process::exit(1) }
    }
}
