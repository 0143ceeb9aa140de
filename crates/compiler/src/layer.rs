//! Between graph and commands: layers that one engine computes, on tensors that lie in vectors.

use frugal_graph::Window;
use frugal_isa::{Config, TensorLayout};
use frugal_quant::{ActivationRange, AddParameters, MulParameters, Multiplier, Table};

/// A model as the accelerator sees it.
#[derive(Clone, Debug)]
pub struct Network {
    pub name: String,
    pub tensors: Vec<Tensor>,
    /// In execution order.
    pub layers: Vec<Layer>,
    /// Tensors that the host writes to the workspace, by index.
    pub inputs: Vec<usize>,
    /// What the host reads from the workspace.
    pub outputs: Vec<Output>,
}

/// One tensor that the host reads, perhaps under another shape than it was computed with.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub tensor: usize,
    pub shape: Vec<usize>,
}

/// Images: rows of pixels of channels.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub place: Placement,
    /// The tensor whose bytes these are, under other dimensions.
    pub alias_of: Option<usize>,
    /// Elements of a constant, in the order of the shape.
    pub constant: Option<Vec<i8>>,
}

/// See [`Network::storages_of`].
#[derive(Clone, Debug)]
pub struct Storages {
    pub inputs: Vec<usize>,
    pub output: usize,
}

impl Network {
    /// The tensor that holds the bytes.
    pub fn storage(&self, tensor: usize) -> usize {
        self.tensors[tensor].alias_of.unwrap_or(tensor)
    }

    /// The tensors that hold what a layer reads and writes.
    pub fn storages_of(&self, layer: usize) -> Storages {
        let layer = &self.layers[layer];
        let inputs = layer.inputs.iter().map(|tensor| self.storage(*tensor)).collect();
        Storages { inputs, output: self.storage(layer.output) }
    }
}

/// How an image lies in vectors, on the chip and behind the bus alike: pixel after pixel, row after row; the channels of a
/// pixel fill whole vectors, and a row fills whole 16 bytes. In a *dense* image only rows begin with a vector of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Images of a batch, one after another.
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Vectors that hold channels.
    pub chunks: usize,
    /// Vectors from one pixel to the next; zero when pixels follow each other byte by byte.
    pub pixel: usize,
    /// Vectors from one row to the next.
    pub row: usize,
}

/// A step of the model.
#[derive(Clone, Debug)]
pub struct Layer {
    pub name: String,
    /// Tensors by index.
    pub inputs: Vec<usize>,
    pub output: usize,
    pub operation: Operation,
    pub multiply_accumulates: u64,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Product(Product),
    Depthwise(Product),
    /// A product whose windows are gathered from a dense image first.
    Packed(Packed),
    Binary(Binary),
    Pool(Pool),
    Map(Map),
    Copy(Copy),
}

impl Operation {
    /// Whether all rows of all images may be treated as those of one image.
    pub fn is_flat(&self) -> bool {
        match self {
            Operation::Product(_) | Operation::Depthwise(_) | Operation::Packed(_) | Operation::Pool(_) => {
                false
            }
            Operation::Binary(binary) => binary.one_pixel == [false; 2],
            // A margin may also be below or to the right.
            Operation::Map(map) => map.table.is_some(),
            Operation::Copy(_) => true,
        }
    }
}

/// A function of two elements; an operand may be one pixel that meets all pixels of its image.
#[derive(Clone, Debug)]
pub struct Binary {
    pub function: BinaryFunction,
    pub one_pixel: [bool; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryFunction {
    Add(AddParameters),
    Subtract(AddParameters),
    Multiply(MulParameters),
}

/// A function of one element, or an image with a margin.
#[derive(Clone, Debug)]
pub struct Map {
    pub table: Option<Table>,
    /// Rows above and columns left of the image; what lies outside has the value `margin`.
    pub top: usize,
    pub left: usize,
    pub margin: i8,
}

/// Elements at other places.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Value of elements that no part writes.
    pub fill: Option<i8>,
    pub parts: Vec<CopyPart>,
}

/// A box of elements of one input. Strides and offsets count elements in the order of the dimensions.
#[derive(Clone, Debug)]
pub struct CopyPart {
    /// Position among the layer's inputs.
    pub input: usize,
    pub sizes: Vec<usize>,
    pub source_offset: usize,
    pub source_strides: Vec<usize>,
    pub target_offset: usize,
    pub target_strides: Vec<usize>,
}

/// A convolution of few channels: moves gather each window into consecutive bytes, over which the matrix engine then reduces.
#[derive(Clone, Debug)]
pub struct Packed {
    pub product: Product,
    /// In the order of the bytes.
    pub segments: Vec<Segment>,
    /// Vectors of a gathered window.
    pub vectors: usize,
}

/// Bytes of a kernel row that one move gathers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub kernel_row: usize,
    /// First byte of the kernel row: kernel column times channels, plus channel.
    pub first: usize,
    pub bytes: usize,
    /// Vector and lane of the gathered window where it goes.
    pub vector: usize,
    pub lane: usize,
}

/// A convolution, a depthwise convolution or a fully connected layer: work for the matrix engine.
#[derive(Clone, Debug)]
pub struct Product {
    pub window: Window,
    /// Value of a pixel outside the image: the input's zero point.
    pub pad_value: i8,
    pub weights: Weights,
    /// For each output channel, with the input's zero point folded into the bias.
    pub bias: Vec<i32>,
    pub multipliers: Vec<Multiplier>,
    pub output_zero_point: i32,
    pub range: ActivationRange,
}

#[derive(Clone, Debug)]
pub enum Weights {
    /// `[output][ky][kx][input]`
    Dense { elements: Vec<i8>, inputs: usize },
    /// `[ky][kx][output]`; output `c` reads input `c / multiplier`.
    Depthwise { elements: Vec<i8>, outputs: usize, multiplier: usize },
}

#[derive(Clone, Debug)]
pub struct Pool {
    pub window: Window,
    pub kind: PoolKind,
    pub range: ActivationRange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    Average,
    Maximum,
}

/// Vectors that together are a multiple of 16 bytes.
pub fn vector_quantum(config: &Config) -> usize {
    (16 / config.rows).max(1)
}

impl Placement {
    /// Images of these dimensions: images, height, width, channels.
    pub fn new([images, height, width, channels]: [usize; 4], config: &Config) -> Placement {
        let quantum = vector_quantum(config);
        let chunks = channels.div_ceil(config.rows);
        let pixel = if chunks == 1 { 1 } else { chunks.next_multiple_of(quantum) };
        let row = (width * pixel).next_multiple_of(quantum);
        Placement { images, height, width, channels, chunks, pixel, row }
    }

    /// The same image without gaps between pixels.
    pub fn dense(self, config: &Config) -> Placement {
        let row = (self.width * self.channels).div_ceil(config.rows).next_multiple_of(vector_quantum(config));
        Placement { pixel: 0, row, ..self }
    }

    /// The same bytes with other dimensions, where that is possible.
    pub fn under(&self, dimensions: [usize; 4], config: &Config) -> Option<Placement> {
        let [images, height, width, channels] = dimensions;
        if self.is_dense() || channels != self.channels {
            return None;
        }
        let pixels = images * height * width;
        if pixels != self.images * self.height * self.width {
            return None;
        }
        let row = width * self.pixel;
        let packed = self.row == self.width * self.pixel && row % vector_quantum(config) == 0;
        if width == self.width {
            return Some(Placement { images, height, ..*self });
        }
        packed.then_some(Placement { images, height, width, row, ..*self })
    }

    /// All rows of all images as one image.
    pub fn flat(&self) -> Placement {
        Placement { images: 1, height: self.images * self.height, ..*self }
    }

    pub fn dimensions(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels]
    }

    /// Where an element lies: byte from the first vector on.
    pub fn byte(&self, element: usize, config: &Config) -> usize {
        let (pixel, channel) = (element / self.channels, element % self.channels);
        let (row, x) = (pixel / self.width, pixel % self.width);
        (row * self.row + x * self.pixel) * config.rows + channel
    }

    pub fn is_dense(&self) -> bool {
        self.pixel == 0
    }

    /// The image as transfers see it: a dense one is an image of single vectors.
    pub fn lines(&self) -> Placement {
        match self.is_dense() {
            true => Placement { width: self.row, chunks: 1, pixel: 1, ..*self },
            false => *self,
        }
    }

    /// Vectors of the whole image.
    pub fn vectors(&self) -> usize {
        self.images * self.height * self.row
    }

    pub fn elements(&self) -> usize {
        self.images * self.height * self.width * self.channels
    }

    /// Where the host finds the elements, under `shape` if its dimensions are those of the image.
    pub fn layout(&self, name: &str, shape: &[usize], offset: usize, config: &Config) -> TensorLayout {
        let bytes = config.rows;
        let image = self.dimensions();
        let pixel = if self.is_dense() { self.channels } else { self.pixel * bytes };
        let strides = [self.height * self.row * bytes, self.row * bytes, pixel, 1];
        // Leading ones may be left out.
        let leading = 4usize.saturating_sub(shape.len());
        let fits = shape.len() <= 4 && image[leading..] == *shape && image[..leading].iter().all(|n| *n == 1);
        let (shape, strides) = match fits {
            true => (shape.to_vec(), strides[leading..].to_vec()),
            false => (image.to_vec(), strides.to_vec()),
        };
        TensorLayout { name: name.to_owned(), shape, strides, offset, element_bytes: 1 }
    }
}

impl Weights {
    /// Weight of input channel `input` at a tap, as output channel `output` sees it.
    pub fn at(&self, output: usize, ky: usize, kx: usize, input: usize, window: &Window) -> i8 {
        let tap = ky * window.kernel_width + kx;
        match self {
            Weights::Dense { elements, inputs } => {
                elements[(output * window.kernel_height * window.kernel_width + tap) * inputs + input]
            }
            Weights::Depthwise { elements, outputs, multiplier } => {
                if output / multiplier == input {
                    elements[tap * outputs + output]
                } else {
                    0
                }
            }
        }
    }

    /// The weights that output channel `output` has.
    pub fn of_output(&self, output: usize, window: &Window) -> Box<dyn Iterator<Item = i8> + '_> {
        let taps = window.kernel_height * window.kernel_width;
        match self {
            Weights::Dense { elements, inputs } => {
                Box::new(elements[output * taps * inputs..][..taps * inputs].iter().copied())
            }
            Weights::Depthwise { elements, outputs, .. } => {
                Box::new(elements[output..].iter().step_by(*outputs).copied())
            }
        }
    }

    /// Input channels that the output channels of a range read.
    pub fn inputs_of(&self, outputs: std::ops::Range<usize>) -> std::ops::Range<usize> {
        match self {
            Weights::Dense { inputs, .. } => 0..*inputs,
            Weights::Depthwise { multiplier, .. } => {
                outputs.start / multiplier..(outputs.end - 1) / multiplier + 1
            }
        }
    }
}
