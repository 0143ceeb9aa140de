//! A correction of Yosys' netlist for ECP5 before nextpnr sees it.
//!
//! nextpnr adds a cell of two LUTs wherever the last carry of a chain is connected, and Yosys connects it although nobody reads it: one cell for
//! each adder, 8 % of the MAC array. Without the connection there is no cell.

use serde_json::{Map, Value};
use std::collections::HashSet;

/// The netlist without carry outputs that nobody reads.
pub(super) fn without_unread_carries(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut netlist: Value = serde_json::from_slice(json)?;
    let modules = netlist.get_mut("modules").and_then(Value::as_object_mut);
    for module in modules.into_iter().flat_map(Map::values_mut) {
        trim(module);
    }
    serde_json::to_vec(&netlist)
}

fn trim(module: &mut Value) {
    let mut read = HashSet::new();
    let bits = |value: &Value| -> Vec<u64> {
        value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    };
    for port in objects(&module["ports"]) {
        read.extend(bits(&port["bits"]));
    }
    for cell in objects(&module["cells"]) {
        let connections = cell["connections"].as_object();
        for (name, value) in connections.into_iter().flatten() {
            if cell["type"] != "CCU2C" || name != "COUT" {
                read.extend(bits(value));
            }
        }
    }
    let cells = module.get_mut("cells").and_then(Value::as_object_mut);
    for cell in cells.into_iter().flat_map(Map::values_mut).filter(|cell| cell["type"] == "CCU2C") {
        if let Some(connections) = cell.get_mut("connections").and_then(Value::as_object_mut) {
            if connections.get("COUT").is_some_and(|carry| bits(carry).iter().all(|bit| !read.contains(bit)))
            {
                connections.remove("COUT");
            }
        }
    }
}

fn objects(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Map::values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_unread_carries_go() {
        let carry = |bit: u64, into: u64| json!({"type": "CCU2C", "connections": {"CIN": [into], "COUT": [bit], "S0": [bit + 100]}});
        let netlist = json!({"modules": {"top": {
            "ports": {"carry": {"direction": "output", "bits": [4]}},
            "cells": {"a": carry(2, 1), "b": carry(3, 2), "c": carry(4, 9),
                      "d": {"type": "LUT4", "connections": {"COUT": [7]}}}}}});
        let trimmed = without_unread_carries(&serde_json::to_vec(&netlist).unwrap()).unwrap();
        let trimmed: Value = serde_json::from_slice(&trimmed).unwrap();
        let cells = &trimmed["modules"]["top"]["cells"];
        let has = |cell: &str| cells[cell]["connections"].get("COUT").is_some();
        assert_eq!(["a", "b", "c", "d"].map(has), [true, false, true, true]);
        assert_eq!(cells["b"]["connections"]["S0"], json!([103]));
    }
}
