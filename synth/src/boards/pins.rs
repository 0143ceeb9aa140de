//! Where each board's pins are, from its makers' schematics as LiteX and Amaranth tell them.

use super::Pin;

const OUTPUT: &str = "IO_TYPE=LVCMOS33 DRIVE=4";
const SDRAM: &str = "IO_TYPE=LVCMOS33 PULLMODE=NONE DRIVE=4 SLEWRATE=FAST";

pub(super) const ULX3S: &[Pin] = &[
    Pin { port: "oscillator", location: "G2", attributes: "IO_TYPE=LVCMOS33" },
    // The button called FIRE 1.
    Pin { port: "reset_button", location: "R1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=DOWN" },
    Pin { port: "receive", location: "M1", attributes: "IO_TYPE=LVCMOS33 PULLMODE=UP" },
    Pin { port: "transmit", location: "L4", attributes: OUTPUT },
    Pin { port: "led_0", location: "B2", attributes: OUTPUT },
    Pin { port: "led_1", location: "C2", attributes: OUTPUT },
    Pin { port: "led_2", location: "C1", attributes: OUTPUT },
    Pin { port: "led_3", location: "D2", attributes: OUTPUT },
    Pin { port: "led_4", location: "D1", attributes: OUTPUT },
    Pin { port: "led_5", location: "E2", attributes: OUTPUT },
    Pin { port: "led_6", location: "E1", attributes: OUTPUT },
    Pin { port: "led_7", location: "H3", attributes: OUTPUT },
    Pin { port: "sdram_clock", location: "F19", attributes: SDRAM },
    Pin { port: "sdram_clock_enable", location: "F20", attributes: SDRAM },
    Pin { port: "sdram_cs_n", location: "P20", attributes: SDRAM },
    Pin { port: "sdram_ras_n", location: "R20", attributes: SDRAM },
    Pin { port: "sdram_cas_n", location: "T19", attributes: SDRAM },
    Pin { port: "sdram_we_n", location: "T20", attributes: SDRAM },
    Pin { port: "sdram_address[0]", location: "M20", attributes: SDRAM },
    Pin { port: "sdram_address[1]", location: "M19", attributes: SDRAM },
    Pin { port: "sdram_address[2]", location: "L20", attributes: SDRAM },
    Pin { port: "sdram_address[3]", location: "L19", attributes: SDRAM },
    Pin { port: "sdram_address[4]", location: "K20", attributes: SDRAM },
    Pin { port: "sdram_address[5]", location: "K19", attributes: SDRAM },
    Pin { port: "sdram_address[6]", location: "K18", attributes: SDRAM },
    Pin { port: "sdram_address[7]", location: "J20", attributes: SDRAM },
    Pin { port: "sdram_address[8]", location: "J19", attributes: SDRAM },
    Pin { port: "sdram_address[9]", location: "H20", attributes: SDRAM },
    Pin { port: "sdram_address[10]", location: "N19", attributes: SDRAM },
    Pin { port: "sdram_address[11]", location: "G20", attributes: SDRAM },
    Pin { port: "sdram_address[12]", location: "G19", attributes: SDRAM },
    Pin { port: "sdram_bank[0]", location: "P19", attributes: SDRAM },
    Pin { port: "sdram_bank[1]", location: "N20", attributes: SDRAM },
    Pin { port: "sdram_data_mask[0]", location: "U19", attributes: SDRAM },
    Pin { port: "sdram_data_mask[1]", location: "E20", attributes: SDRAM },
    Pin { port: "sdram_data[0]", location: "J16", attributes: SDRAM },
    Pin { port: "sdram_data[1]", location: "L18", attributes: SDRAM },
    Pin { port: "sdram_data[2]", location: "M18", attributes: SDRAM },
    Pin { port: "sdram_data[3]", location: "N18", attributes: SDRAM },
    Pin { port: "sdram_data[4]", location: "P18", attributes: SDRAM },
    Pin { port: "sdram_data[5]", location: "T18", attributes: SDRAM },
    Pin { port: "sdram_data[6]", location: "T17", attributes: SDRAM },
    Pin { port: "sdram_data[7]", location: "U20", attributes: SDRAM },
    Pin { port: "sdram_data[8]", location: "E19", attributes: SDRAM },
    Pin { port: "sdram_data[9]", location: "D20", attributes: SDRAM },
    Pin { port: "sdram_data[10]", location: "D19", attributes: SDRAM },
    Pin { port: "sdram_data[11]", location: "C20", attributes: SDRAM },
    Pin { port: "sdram_data[12]", location: "E18", attributes: SDRAM },
    Pin { port: "sdram_data[13]", location: "F18", attributes: SDRAM },
    Pin { port: "sdram_data[14]", location: "J18", attributes: SDRAM },
    Pin { port: "sdram_data[15]", location: "J17", attributes: SDRAM },
];

/// LED and both buttons are on the module's extension board.
pub(super) const COLORLIGHT_I9: &[Pin] = &[
    Pin { port: "oscillator", location: "P3", attributes: "IO_TYPE=LVCMOS33" },
    Pin { port: "reset_button", location: "K18", attributes: "IO_TYPE=LVCMOS33 PULLMODE=UP" },
    Pin { port: "receive", location: "H18", attributes: "IO_TYPE=LVCMOS33 PULLMODE=UP" },
    Pin { port: "transmit", location: "J17", attributes: OUTPUT },
    Pin { port: "led_0", location: "L2", attributes: OUTPUT },
];

const ICE40_PULLED_UP: &str = "-pullup yes";

pub(super) const ICEBREAKER: &[Pin] = &[
    Pin { port: "oscillator", location: "35", attributes: "" },
    Pin { port: "reset_button", location: "10", attributes: ICE40_PULLED_UP },
    Pin { port: "receive", location: "6", attributes: ICE40_PULLED_UP },
    Pin { port: "transmit", location: "9", attributes: "" },
    // Red, and green.
    Pin { port: "led_0", location: "11", attributes: "" },
    Pin { port: "led_1", location: "37", attributes: "" },
];

const GOWIN_INPUT: &str = "IO_TYPE=LVCMOS33 PULL_MODE=UP";
const GOWIN_OUTPUT: &str = "IO_TYPE=LVCMOS33 DRIVE=8";
/// A bank of 1.8 V.
const GOWIN_LOW_INPUT: &str = "IO_TYPE=LVCMOS18 PULL_MODE=UP";
const GOWIN_LOW_OUTPUT: &str = "IO_TYPE=LVCMOS18 DRIVE=8";

pub(super) const TANG_NANO_20K: &[Pin] = &[
    Pin { port: "oscillator", location: "4", attributes: "IO_TYPE=LVCMOS33 PULL_MODE=NONE" },
    // The button called S1, which connects to 3.3 V.
    Pin { port: "reset_button", location: "88", attributes: "IO_TYPE=LVCMOS33 PULL_MODE=DOWN" },
    Pin { port: "receive", location: "70", attributes: GOWIN_INPUT },
    Pin { port: "transmit", location: "69", attributes: GOWIN_OUTPUT },
    Pin { port: "led_0", location: "15", attributes: GOWIN_OUTPUT },
    Pin { port: "led_1", location: "16", attributes: GOWIN_OUTPUT },
    Pin { port: "led_2", location: "17", attributes: GOWIN_OUTPUT },
    Pin { port: "led_3", location: "18", attributes: GOWIN_OUTPUT },
    Pin { port: "led_4", location: "19", attributes: GOWIN_OUTPUT },
    Pin { port: "led_5", location: "20", attributes: GOWIN_OUTPUT },
];

pub(super) const TANG_NANO_9K: &[Pin] = &[
    Pin { port: "oscillator", location: "52", attributes: "IO_TYPE=LVCMOS33 PULL_MODE=UP" },
    // The button called S2, which connects to ground.
    Pin { port: "reset_button", location: "3", attributes: GOWIN_LOW_INPUT },
    Pin { port: "receive", location: "18", attributes: GOWIN_INPUT },
    Pin { port: "transmit", location: "17", attributes: GOWIN_OUTPUT },
    Pin { port: "led_0", location: "10", attributes: GOWIN_LOW_OUTPUT },
    Pin { port: "led_1", location: "11", attributes: GOWIN_LOW_OUTPUT },
    Pin { port: "led_2", location: "13", attributes: GOWIN_LOW_OUTPUT },
    Pin { port: "led_3", location: "14", attributes: GOWIN_LOW_OUTPUT },
    Pin { port: "led_4", location: "15", attributes: GOWIN_LOW_OUTPUT },
    Pin { port: "led_5", location: "16", attributes: GOWIN_LOW_OUTPUT },
];
