//! The cache of models survives damage, and a missing Verilator is a clear error. One test, because both work through
//! environment variables of the whole process.
use frugal_hdl::emit::{ModuleInfo, Port, PortDirection};
use frugal_testbench::verilated::{BuildOptions, VerilateError, VerilatedModel};
use std::path::{Path, PathBuf};

fn inverter() -> Result<VerilatedModel, VerilateError> {
    let port = |name: &str, direction| Port {
        name: name.into(),
        original_name: name.into(),
        width: 8,
        is_signed: false,
        direction,
    };
    let ports = vec![port("a", PortDirection::Input), port("y", PortDirection::Output)];
    let top = ModuleInfo { name: "inverter".into(), ports };
    let text = "module inverter (input wire [7:0] a, output wire [7:0] y);\nassign y = ~a;\nendmodule\n";
    VerilatedModel::from_verilog(text, &top, &BuildOptions::default())
}

fn works(mut model: VerilatedModel) {
    let (a, y) = (model.port("a"), model.port("y"));
    model.set(a, 0x5a);
    model.eval();
    assert_eq!(model.get(y), 0xa5);
}

/// The model libraries in a cache.
fn libraries(cache: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cache).expect("the cache can be read").flatten();
    entries.map(|entry| entry.path().join("model.so")).filter(|path| path.is_file()).collect()
}

#[test]
fn the_cache_and_the_lookup() -> Result<(), VerilateError> {
    let cache = tempfile::tempdir().expect("a temporary folder");
    std::env::set_var("FRUGAL_CACHE_DIR", cache.path());
    works(inverter()?);
    let built = libraries(cache.path());
    assert_eq!(built.len(), 1);
    let left_over = std::fs::read_dir(cache.path()).expect("the cache can be read").flatten();
    assert!(left_over.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));

    let good = std::fs::read(&built[0]).expect("the library can be read");
    let modified = || std::fs::metadata(&built[0]).and_then(|data| data.modified()).expect("a time");
    let first_built = modified();
    works(inverter()?);
    assert_eq!(modified(), first_built, "an intact entry is used as it is");

    for damage in [&good[..good.len() / 2], b"", b"not a library"] {
        std::fs::remove_file(&built[0]).expect("the library can be removed");
        std::fs::write(&built[0], damage).expect("the library can be damaged");
        works(inverter()?);
        assert!(std::fs::metadata(&built[0]).expect("rebuilt").len() > good.len() as u64 / 2);
    }

    std::env::set_var("FRUGAL_VERILATOR_ROOT", cache.path());
    let missing = inverter().map(|_| ());
    assert!(matches!(missing, Err(VerilateError::VerilatorMissing)), "{missing:?}");
    assert!(missing.unwrap_err().to_string().contains("scripts/setup"));
    Ok(())
}
