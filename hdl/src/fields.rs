//! Field decoders: one leaf for each command, expanded from the instruction table.
//!
//! Words in, named fields out, combinational. Because the ports are expanded from the same rows as the encoder, the RTL cannot
//! disagree with the compiler about where a field lies.

use frugal_isa::command::FieldSpec;
use rust_hdl_core::prelude::*;

/// One line of Verilog for each field.
fn assignments(fields: &[FieldSpec]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|f| format!("assign {} = words${}[{}:{}];", f.name, f.word, f.lsb + f.width - 1, f.lsb))
        .collect();
    lines.join("\n")
}

macro_rules! define_field_decoders {
    ($(#[doc = $command_doc:literal] $name:ident $snake:ident = $opcode:literal, $engine:ident {
        $(#[doc = $doc:literal] $field:ident: $kind:ident [$word:literal, $lsb:literal, $width:literal];)*
    })*) => {
        $(
            #[doc = concat!("Fields of the `", stringify!($snake), "` command.")]
            #[derive(LogicBlock)]
            pub struct $name {
                pub words: Vec<Signal<In, Bits<32>>>,
                $(#[doc = $doc] pub $field: Signal<Out, Bits<$width>>,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    Self {
                        words: crate::leaves::inputs(frugal_isa::COMMAND_WORDS),
                        $($field: Signal::default(),)*
                    }
                }
            }

            impl Logic for $name {
                #[allow(unused_variables)]
                fn update(&mut self) {
                    $(
                        let word = self.words[$word].val().to_u64();
                        self.$field.next = ((word >> $lsb) & ((1u64 << $width) - 1)).into();
                    )*
                }
                fn connect(&mut self) {
                    $(self.$field.connect();)*
                }
                fn hdl(&self) -> Verilog {
                    Verilog::Custom(assignments(frugal_isa::command::$name::FIELDS))
                }
                fn timing(&self) -> Vec<TimingInfo> {
                    crate::emit::describe(
                        concat!(stringify!($snake), "_fields"),
                        concat!("Fields of the ", stringify!($snake), " command, as in docs/isa.md."),
                    )
                }
            }
        )*
    };
}

frugal_isa::command_table!(define_field_decoders);
