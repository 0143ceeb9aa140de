//! Prints the Verilog of a block: `block_verilog mac-array nano [four_bit=0]`.
use frugal_isa::Config;
use frugal_synth::flow::block::Block;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a: Vec<String> = std::env::args().collect();
    let mut config = Config::preset(&a[2])?;
    if a.len() > 3 {
        config.four_bit = false;
    }
    let block = Block::from_name(&a[1]).ok_or("no such block")?;
    print!("{}", block.verilog(&config)?.text);
    Ok(())
}
