//! The page `docs/isa.md`, made from the table.

use crate::command::{Command, Engine, FieldKind, FieldSpec, HEADER};
use crate::register::{Access, StatusCode, REGISTERS};
use crate::ISA_VERSION;
use std::fmt::Write;

fn field_rows(page: &mut String, fields: &[FieldSpec]) {
    page.push_str("| field | word | bits | kind | meaning |\n|---|---|---|---|---|\n");
    for field in fields {
        let kind = match field.kind {
            FieldKind::Unsigned => "unsigned",
            FieldKind::Signed => "signed",
            FieldKind::Count => "count",
            FieldKind::Flag => "flag",
        };
        let last = field.lsb + field.width - 1;
        let bits = if field.width == 1 { format!("{last}") } else { format!("{last}:{}", field.lsb) };
        let FieldSpec { name, word, description, .. } = field;
        writeln!(page, "| `{name}` | {word} | {bits} | {kind} | {} |", description.trim()).unwrap();
    }
}

/// The whole page as Markdown.
pub fn markdown() -> String {
    let mut page = String::new();
    write!(
        page,
        "# Instruction set, version {ISA_VERSION}\n\n\
         Generated from the table in `crates/isa/src/table.rs`; do not edit. To make it anew after a change: \
         `UPDATE_EXPECT=1 cargo test -p frugal-isa`.\n\n\
         A program is a list of commands of 64 bytes: sixteen 32-bit little-endian words. The control FSM fetches \
         them in order and hands each to the queue of its engine. The engines run side by side, each in the \
         order of its own queue, and meet through tokens: a command starts when every engine in its `wait` mask has sent \
         its engine a token (each is taken), and when it has finished it sends one token to every engine in its \
         `signal` mask. Tokens that an engine sends itself order a command after the complete results of an \
         earlier one. How the engines compute is in [architecture.md](architecture.md).\n\n\
         Kinds: *unsigned*, *signed* (two's complement), *count* (stored minus one), *flag*. Bits that no field \
         names are zero. Address arithmetic is modulo 2^16.\n\n\
         ## Word 0 of every command\n"
    )
    .unwrap();
    field_rows(&mut page, &HEADER);
    page.push_str("\n## Commands\n");
    for spec in Command::ALL {
        let by = match spec.engine {
            Engine::Control => "the control FSM".to_owned(),
            engine => format!("the {} engine", engine.name()),
        };
        write!(
            page,
            "\n### `{}` (0x{:02x})\n{} Executed by {by}.\n",
            spec.mnemonic,
            spec.opcode,
            spec.description.trim()
        )
        .unwrap();
        if !spec.fields.is_empty() {
            page.push('\n');
            field_rows(&mut page, spec.fields);
        }
    }
    page.push_str(
        "\n## Registers (AXI4-Lite, 32 bits)\n| offset | name | access | meaning |\n|---|---|---|---|\n",
    );
    for register in REGISTERS {
        let access = match register.access {
            Access::ReadOnly => "read",
            Access::ReadWrite => "read, write",
            Access::WriteOnly => "write",
        };
        writeln!(
            page,
            "| 0x{:02x} | `{}` | {access} | {} |",
            register.offset, register.name, register.description
        )
        .unwrap();
    }
    page.push_str("\n## Status codes\n| value | meaning |\n|---|---|\n");
    for code in StatusCode::ALL {
        writeln!(page, "| {} | {} |", code as u8, code.describe()).unwrap();
    }
    page
}

#[cfg(test)]
mod tests {
    /// The page in `docs/` is the one the table gives; `UPDATE_EXPECT=1` writes it.
    #[test]
    fn isa_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/isa.md");
        let wanted = super::markdown();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "docs/isa.md is stale: run UPDATE_EXPECT=1 cargo test -p frugal-isa");
    }
}
