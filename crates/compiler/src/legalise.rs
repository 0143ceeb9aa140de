//! Pass *legalise*: graph operators become layers that one engine computes.
//!
//! * Shapes become images: `[.., height, width, channels]`, leading dimensions are images of a batch. A reshape is another name for the
//!   same bytes, or a copy where they cannot be read that way.
//! * Softmax and what follows it, and what is not int8 at the borders, is split off for the host.
//! * A fully connected layer is a convolution whose kernel is the whole image; a mean is a convolution with weights of one.
//! * A margin (PAD) around the image of a convolution becomes that convolution's padding, if it has the zero point's value.
//! * The input's zero point goes into the bias: `sum((x - z) * w) = sum(x * w) - z * sum(w)`, so the array computes plain dot
//!   products, and a pixel outside the image reads as `z`.

use crate::error::CompileError;
use crate::layer::{
    Binary, BinaryFunction, Copy, CopyPart, Layer, Map, Network, Operation, Output, Placement, Pool,
    PoolKind, Product, Tensor, Weights,
};
use frugal_graph::operator::Mean;
use frugal_graph::{
    DataType, Graph, Operator, OperatorKind, OutputStage, Pad, Padding, Quantize, TensorId, Window,
};
use frugal_isa::Config;
use frugal_quant::{ActivationRange, Affine, SoftmaxParameters};

/// Where the host takes a tensor from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSource {
    /// Output of the program, by index.
    Device(usize),
    /// Result of an earlier host step, by index.
    Step(usize),
}

/// A step that the host computes after the program.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStep {
    /// Name of the operator.
    pub name: String,
    pub kind: HostKind,
    pub source: HostSource,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HostKind {
    Softmax {
        parameters: SoftmaxParameters,
        row_length: usize,
    },
    Reshape,
    /// int8 to uint8.
    Quantize(Box<Quantize>),
    /// int8 to float32.
    Dequantize(Affine),
}

/// What the host does with an input of the model before the program.
#[derive(Clone, Debug, PartialEq)]
pub struct HostInput {
    /// The operator that does it: a QUANTIZE at the border; an int8 input needs none.
    pub step: Option<(String, Quantize)>,
}

/// A network for the accelerator, and what remains for the host.
#[derive(Clone, Debug)]
pub struct Legalised {
    pub network: Network,
    pub host_inputs: Vec<HostInput>,
    pub host: Vec<HostStep>,
    /// Where each output of the model comes from.
    pub results: Vec<HostSource>,
}

/// Who holds a tensor of the graph.
#[derive(Clone, Debug, PartialEq)]
enum Holder {
    /// Tensor of the network.
    Device(usize),
    /// Host step.
    Host(usize),
    /// Input of the model that is not int8.
    Border(usize),
    /// A margin around another tensor, not computed yet.
    Margin { source: TensorId, padding: Padding, value: i8 },
}

struct Pass<'a> {
    graph: &'a Graph,
    config: &'a Config,
    holders: Vec<Option<Holder>>,
    network: Network,
    host_inputs: Vec<HostInput>,
    host: Vec<HostStep>,
}

/// Runs the pass. With `dump_layers`, the output of every operator on the accelerator is an output of the program.
pub fn legalise(graph: &Graph, config: &Config, dump_layers: bool) -> Result<Legalised, CompileError> {
    let network = Network {
        name: graph.name.clone(),
        tensors: Vec::new(),
        layers: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let mut pass = Pass {
        graph,
        config,
        holders: vec![None; graph.tensors.len()],
        network,
        host_inputs: Vec::new(),
        host: Vec::new(),
    };
    for (index, id) in graph.inputs.iter().enumerate() {
        if graph[*id].data_type == DataType::I8 {
            let tensor = pass.new_tensor(*id, &format!("input {index}"))?;
            pass.network.inputs.push(tensor);
            pass.host_inputs.push(HostInput { step: None });
        } else {
            pass.border_input(*id, index)?;
        }
    }
    for operator in &graph.operators {
        pass.operator(operator, dump_layers)?;
    }
    let mut results = Vec::new();
    for (index, id) in graph.outputs.iter().enumerate() {
        let layer = format!("output {index}");
        results.push(match pass.materialised(*id, &layer)? {
            Holder::Host(step) => HostSource::Step(step),
            _ => HostSource::Device(pass.device_output(*id, &layer)?),
        });
    }
    if dump_layers {
        for operator in &graph.operators {
            if let Some(Holder::Device(tensor)) = pass.holders[operator.outputs[0].0] {
                let shape = graph.output(operator).shape.clone();
                pass.network.outputs.push(Output { name: operator.name.clone(), tensor, shape });
            }
        }
    }
    let Pass { network, host_inputs, host, .. } = pass;
    Ok(Legalised { network, host_inputs, host, results })
}

/// Largest kernel of a command.
const MAX_KERNEL: usize = 256;

/// Images, height, width, channels.
type Dimensions = [usize; 4];

/// How a shape is seen as images.
fn dimensions(shape: &[usize]) -> Dimensions {
    let size = |back: usize| shape.len().checked_sub(back).map_or(1, |index| shape[index]);
    let leading = shape[..shape.len().saturating_sub(3)].iter().product();
    [leading, size(3), size(2), size(1)]
}

/// Distance between neighbours along each dimension of a shape.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension];
    }
    strides
}

impl Pass<'_> {
    fn unsupported(&self, layer: &str, problem: impl Into<String>) -> CompileError {
        CompileError::Unsupported { layer: layer.to_owned(), problem: problem.into() }
    }

    /// Makes a tensor of these dimensions.
    fn make(
        &mut self,
        name: &str,
        shape: &[usize],
        dimensions: Dimensions,
        layer: &str,
    ) -> Result<usize, CompileError> {
        let [images, height, width, channels] = dimensions;
        if dimensions.contains(&0) {
            return Err(self.unsupported(layer, format!("an empty tensor of shape {shape:?}")));
        }
        // Coordinates are 16 bits, signed, with room for a kernel beyond the image.
        if height > 32_000 || width > 32_000 || channels > 1 << 20 || images > 32_000 {
            let problem = format!(
                "shape {shape:?}; images, height and width may be 32000, channels 2^20. Cut it into smaller tensors"
            );
            return Err(self.unsupported(layer, problem));
        }
        let place = Placement::new(dimensions, self.config);
        self.network.tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            place,
            alias_of: None,
            constant: None,
        });
        Ok(self.network.tensors.len() - 1)
    }

    /// Makes the tensor that an operator writes.
    fn new_tensor(&mut self, id: TensorId, layer: &str) -> Result<usize, CompileError> {
        let tensor = &self.graph[id];
        if tensor.data_type != DataType::I8 {
            let problem = format!(
                "a tensor of {}; only int8 is supported here. Convert the model with full-integer int8 quantisation",
                tensor.data_type
            );
            return Err(self.unsupported(layer, problem));
        }
        let index = self.make(&tensor.name, &tensor.shape, dimensions(&tensor.shape), layer)?;
        self.holders[id.0] = Some(Holder::Device(index));
        Ok(index)
    }

    /// An input that is not int8: what reads it must be the QUANTIZE at the border.
    fn border_input(&mut self, id: TensorId, index: usize) -> Result<(), CompileError> {
        let reader = self.graph.operators.iter().find(|operator| operator.inputs.contains(&Some(id)));
        let Some((operator, OperatorKind::Quantize(quantize))) =
            reader.map(|operator| (operator, &operator.kind))
        else {
            let problem = format!(
                "{} that no QUANTIZE turns into int8. Convert the model with full-integer int8 quantisation",
                self.graph[id].data_type
            );
            return Err(self.unsupported(&format!("input {index}"), problem));
        };
        let tensor = self.new_tensor(operator.outputs[0], &operator.name)?;
        self.network.inputs.push(tensor);
        self.host_inputs.push(HostInput { step: Some((operator.name.clone(), *quantize)) });
        self.holders[id.0] = Some(Holder::Border(tensor));
        Ok(())
    }

    /// The holder of a tensor; a margin is computed now.
    fn materialised(&mut self, id: TensorId, layer: &str) -> Result<Holder, CompileError> {
        if self.holders[id.0].is_none() {
            if let Some(elements) = self.graph[id].as_i8() {
                let elements = elements.to_vec();
                let tensor = self.new_tensor(id, layer)?;
                self.network.tensors[tensor].constant = Some(elements);
            }
        }
        let holder = self.holders[id.0].clone();
        match holder {
            Some(Holder::Margin { source, padding, value }) => {
                let input = self.operand(source, layer)?;
                let output = self.new_tensor(id, layer)?;
                let map = Map { table: None, top: padding.top, left: padding.left, margin: value };
                self.layer(layer, vec![input], output, Operation::Map(map), 0);
                Ok(Holder::Device(output))
            }
            Some(Holder::Border(_)) => {
                Err(self.unsupported(layer, format!("it reads {} before QUANTIZE", self.graph[id].data_type)))
            }
            Some(holder) => Ok(holder),
            None => Err(self.unsupported(layer, "it reads a constant that is not int8")),
        }
    }

    /// The tensor that an operator reads, as its shape says.
    fn operand(&mut self, id: TensorId, layer: &str) -> Result<usize, CompileError> {
        let wanted = dimensions(&self.graph[id].shape);
        self.operand_as(id, wanted, layer)
    }

    /// The same under other dimensions: the same bytes if possible, else a copy.
    fn operand_as(&mut self, id: TensorId, wanted: Dimensions, layer: &str) -> Result<usize, CompileError> {
        let tensor = match self.materialised(id, layer)? {
            Holder::Device(tensor) => tensor,
            Holder::Host(step) => {
                let producer = self.host[step].name.clone();
                return Err(CompileError::HostInTheMiddle { layer: layer.to_owned(), producer });
            }
            _ => unreachable!("margins are computed, borders refused"),
        };
        let storage = self.network.storage(tensor);
        let place = self.network.tensors[storage].place;
        if place.dimensions() == wanted {
            return Ok(storage);
        }
        let (name, shape) = (self.graph[id].name.clone(), self.graph[id].shape.clone());
        let known = |t: &Tensor| t.alias_of == Some(storage) && t.place.dimensions() == wanted;
        if let Some(index) = self.network.tensors.iter().position(known) {
            return Ok(index);
        }
        if let Some(place) = place.under(wanted, self.config) {
            let alias_of = Some(storage);
            self.network.tensors.push(Tensor { name, shape, place, alias_of, constant: None });
            return Ok(self.network.tensors.len() - 1);
        }
        let output = self.make(&name, &shape, wanted, layer)?;
        let part = CopyPart {
            input: 0,
            sizes: vec![place.elements()],
            source_offset: 0,
            source_strides: vec![1],
            target_offset: 0,
            target_strides: vec![1],
        };
        let copy = Copy { fill: None, parts: vec![part] };
        self.layer(layer, vec![storage], output, Operation::Copy(copy), 0);
        Ok(output)
    }

    fn layer(
        &mut self,
        name: &str,
        inputs: Vec<usize>,
        output: usize,
        operation: Operation,
        multiply_accumulates: u64,
    ) {
        let name = name.to_owned();
        self.network.layers.push(Layer { name, inputs, output, operation, multiply_accumulates });
    }

    /// Index of the program's output that is this tensor.
    fn device_output(&mut self, id: TensorId, layer: &str) -> Result<usize, CompileError> {
        let tensor = self.operand(id, layer)?;
        if let Some(index) = self.network.outputs.iter().position(|output| output.tensor == tensor) {
            return Ok(index);
        }
        let (name, shape) = (self.graph[id].name.clone(), self.graph[id].shape.clone());
        self.network.outputs.push(Output { name, tensor, shape });
        Ok(self.network.outputs.len() - 1)
    }

    fn host_step(&mut self, operator: &Operator, kind: HostKind) -> Result<(), CompileError> {
        let id = operator.inputs[0].expect("the reader checked the operands");
        let source = match self.materialised(id, &operator.name)? {
            Holder::Host(step) => HostSource::Step(step),
            _ => HostSource::Device(self.device_output(id, &operator.name)?),
        };
        self.holders[operator.outputs[0].0] = Some(Holder::Host(self.host.len()));
        self.host.push(HostStep { name: operator.name.clone(), kind, source });
        Ok(())
    }

    fn operator(&mut self, operator: &Operator, dump_layers: bool) -> Result<(), CompileError> {
        let graph = self.graph;
        let name = operator.name.as_str();
        let input_id = |position: usize| operator.inputs[position].expect("the reader checked the operands");
        let output_id = operator.outputs[0];
        let macs = graph.multiply_accumulates(operator);
        match &operator.kind {
            OperatorKind::Softmax(softmax) => {
                let row_length = graph.output(operator).shape.last().copied().unwrap_or(1);
                let kind = HostKind::Softmax { parameters: softmax.parameters, row_length };
                self.host_step(operator, kind)
            }
            OperatorKind::Dequantize(quantisation) => {
                self.host_step(operator, HostKind::Dequantize(*quantisation))
            }
            OperatorKind::Quantize(quantize @ Quantize::ToU8(_)) => {
                self.host_step(operator, HostKind::Quantize(Box::new(*quantize)))
            }
            // The input's holder did it.
            OperatorKind::Quantize(_) => match self.holders[output_id.0] {
                Some(_) => Ok(()),
                None => {
                    Err(self.unsupported(name, "a QUANTIZE to int8 that does not read an input of the model"))
                }
            },
            OperatorKind::Reshape(_) => {
                match self.materialised(input_id(0), name)? {
                    Holder::Host(_) => return self.host_step(operator, HostKind::Reshape),
                    holder => self.holders[output_id.0] = Some(holder),
                }
                Ok(())
            }
            OperatorKind::Conv2d(conv) => {
                let (input, padding) =
                    self.padded_operand(input_id(0), conv.output_stage.input_zero_point, name)?;
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let inputs = self.network.tensors[input].place.channels;
                let weights = Weights::Dense { elements, inputs };
                let window = padded(conv.window, padding);
                let product = self.product(operator, window, &conv.output_stage, weights);
                self.windowed(operator, vec![input], Operation::Product(product), window, macs)
            }
            OperatorKind::DepthwiseConv2d(conv) => {
                let (input, padding) =
                    self.padded_operand(input_id(0), conv.output_stage.input_zero_point, name)?;
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let outputs = graph.output(operator).shape[3];
                let weights = Weights::Depthwise { elements, outputs, multiplier: conv.depth_multiplier };
                let window = padded(conv.window, padding);
                let product = self.product(operator, window, &conv.output_stage, weights);
                // Several outputs of one channel are products with diagonal tiles.
                let operation = match conv.depth_multiplier {
                    1 => Operation::Depthwise(product),
                    _ => Operation::Product(product),
                };
                self.windowed(operator, vec![input], operation, window, macs)
            }
            OperatorKind::FullyConnected(layer) => {
                // A whole image of each batch is a row, if its kernel fits a command: else the rows are pixels.
                let is_row = |[images, height, width, channels]: &Dimensions| {
                    *images == layer.batches
                        && height * width * channels == layer.input_depth
                        && *height.max(width) <= MAX_KERNEL
                };
                let [images, height, width, channels] = match self.stored_dimensions(input_id(0)) {
                    Some(stored) if is_row(&stored) => stored,
                    _ => [1, 1, layer.batches, layer.input_depth],
                };
                let input = self.operand_as(input_id(0), [images, height, width, channels], name)?;
                let rows_are_pixels = channels == layer.input_depth && images == 1;
                let (kernel_height, kernel_width) = if rows_are_pixels { (1, 1) } else { (height, width) };
                let window = Window {
                    kernel_height,
                    kernel_width,
                    stride_height: 1,
                    stride_width: 1,
                    padding: Padding::default(),
                };
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let weights = Weights::Dense { elements, inputs: channels };
                let product = self.product(operator, window, &layer.output_stage, weights);
                check_window(self, name, &window)?;
                // The output keeps the rows where its input has them, whatever dimensions it claims.
                let made = match rows_are_pixels {
                    true => [1, height, width, layer.output_depth],
                    false => [images, 1, 1, layer.output_depth],
                };
                let shape = graph.output(operator).shape.clone();
                let output = self.make(&graph.output(operator).name, &shape, made, name)?;
                self.holders[output_id.0] = Some(Holder::Device(output));
                self.layer(name, vec![input], output, Operation::Product(product), macs);
                Ok(())
            }
            OperatorKind::Add(add) => self.binary(operator, BinaryFunction::Add(add.parameters)),
            OperatorKind::Sub(sub) => self.binary(operator, BinaryFunction::Subtract(sub.parameters)),
            OperatorKind::Mul(mul) => self.binary(operator, BinaryFunction::Multiply(mul.parameters)),
            OperatorKind::AveragePool2d(pool) => {
                let input = self.operand(input_id(0), name)?;
                let operation =
                    Operation::Pool(Pool { window: pool.window, kind: PoolKind::Average, range: pool.range });
                self.windowed(operator, vec![input], operation, pool.window, macs)
            }
            OperatorKind::MaxPool2d(pool) => {
                let input = self.operand(input_id(0), name)?;
                let operation =
                    Operation::Pool(Pool { window: pool.window, kind: PoolKind::Maximum, range: pool.range });
                self.windowed(operator, vec![input], operation, pool.window, macs)
            }
            OperatorKind::Mean(mean) => self.mean(operator, mean),
            OperatorKind::Pad(pad) => self.pad(operator, pad, dump_layers),
            OperatorKind::Concatenation(concatenation) => self.concatenation(operator, concatenation.axis),
            OperatorKind::Unary(unary) => {
                let input = self.operand(input_id(0), name)?;
                let output = self.new_tensor(output_id, name)?;
                let map = Map { table: Some(unary.table), top: 0, left: 0, margin: 0 };
                self.layer(name, vec![input], output, Operation::Map(map), 0);
                Ok(())
            }
        }
    }

    /// Dimensions with which the bytes of a tensor were written.
    fn stored_dimensions(&self, id: TensorId) -> Option<Dimensions> {
        match self.holders[id.0] {
            Some(Holder::Device(tensor)) => {
                Some(self.network.tensors[self.network.storage(tensor)].place.dimensions())
            }
            _ => None,
        }
    }

    /// A convolution's input; a margin of the zero point around it becomes padding.
    fn padded_operand(
        &mut self,
        id: TensorId,
        zero_point: i32,
        layer: &str,
    ) -> Result<(usize, Padding), CompileError> {
        match self.holders[id.0].clone() {
            Some(Holder::Margin { source, padding, value }) if i32::from(value) == zero_point => {
                Ok((self.operand(source, layer)?, padding))
            }
            _ => Ok((self.operand(id, layer)?, Padding::default())),
        }
    }

    /// A layer with a window over its first input.
    fn windowed(
        &mut self,
        operator: &Operator,
        inputs: Vec<usize>,
        operation: Operation,
        window: Window,
        macs: u64,
    ) -> Result<(), CompileError> {
        check_window(self, &operator.name, &window)?;
        let output = self.new_tensor(operator.outputs[0], &operator.name)?;
        self.layer(&operator.name, inputs, output, operation, macs);
        Ok(())
    }

    fn product(&self, operator: &Operator, window: Window, stage: &OutputStage, weights: Weights) -> Product {
        let outputs = stage.multipliers.len();
        let bias = self.graph.bias(operator);
        let folded = (0..outputs).map(|output| {
            let sum = weights.of_output(output, &window).fold(0i32, |sum, w| sum.wrapping_add(i32::from(w)));
            bias.map_or(0, |bias| bias[output]).wrapping_sub(stage.input_zero_point.wrapping_mul(sum))
        });
        Product {
            window,
            pad_value: stage.input_zero_point as i8,
            bias: folded.collect(),
            weights,
            multipliers: stage.multipliers.clone(),
            output_zero_point: stage.output_zero_point,
            range: stage.range,
        }
    }

    fn binary(&mut self, operator: &Operator, function: BinaryFunction) -> Result<(), CompileError> {
        let name = operator.name.as_str();
        let shape = self.graph.output(operator).shape.clone();
        let wanted = dimensions(&shape);
        let mut inputs = Vec::new();
        let mut one_pixel = [false; 2];
        for (position, one_pixel) in one_pixel.iter_mut().enumerate() {
            let id = operator.inputs[position].expect("the reader checked the operands");
            let own = dimensions(&self.graph[id].shape);
            let tensor = if own == wanted {
                self.operand(id, name)?
            } else if own[1..] == [1, 1, wanted[3]] && position_meets_all(own[0], wanted[0]) {
                *one_pixel = wanted[1] * wanted[2] > 1 || own[0] != wanted[0];
                self.operand(id, name)?
            } else {
                self.broadcast(id, &shape, name)?
            };
            inputs.push(tensor);
        }
        // One of them has the shape of the result; and the operand that waits, which a pixel is, is the one that is subtracted.
        let subtracts = matches!(function, BinaryFunction::Subtract(_));
        if one_pixel == [true; 2] || (one_pixel[0] && subtracts) {
            let id = operator.inputs[0].expect("the reader checked the operands");
            inputs[0] = self.broadcast(id, &shape, name)?;
            one_pixel[0] = false;
        }
        let output = self.new_tensor(operator.outputs[0], name)?;
        self.layer(name, inputs, output, Operation::Binary(Binary { function, one_pixel }), 0);
        Ok(())
    }

    /// A copy of a tensor, broadcast to a shape.
    fn broadcast(&mut self, id: TensorId, shape: &[usize], layer: &str) -> Result<usize, CompileError> {
        let input = self.operand(id, layer)?;
        let own = self.graph[id].shape.clone();
        let missing = shape.len() - own.len();
        let mut source_strides = vec![0; shape.len()];
        for (dimension, (size, stride)) in own.iter().zip(strides(&own)).enumerate() {
            source_strides[missing + dimension] = if *size == 1 { 0 } else { stride };
        }
        let name = self.graph[id].name.clone();
        let output = self.make(&name, shape, dimensions(shape), layer)?;
        let part = CopyPart {
            input: 0,
            sizes: shape.to_vec(),
            source_offset: 0,
            source_strides,
            target_offset: 0,
            target_strides: strides(shape),
        };
        let copy = Copy { fill: None, parts: vec![part] };
        self.layer(layer, vec![input], output, Operation::Copy(copy), 0);
        Ok(output)
    }

    /// A mean over rows and columns is a depthwise convolution with weights of one; over channels too, a convolution with one output.
    fn mean(&mut self, operator: &Operator, mean: &Mean) -> Result<(), CompileError> {
        let name = operator.name.as_str();
        let id = operator.inputs[0].expect("the reader checked the operands");
        let shape = self.graph[id].shape.clone();
        let rank = shape.len();
        // Axes counted from the innermost dimension: 0 channels, 1 columns, 2 rows.
        let over = |back: usize| mean.axes.contains(&rank.wrapping_sub(1 + back)) && rank > back;
        if mean.axes.iter().any(|axis| rank - 1 - axis > 2 && shape[*axis] > 1) {
            return Err(self.unsupported(
                name,
                "a mean over the images of a batch; over rows, columns and channels it may be. Compute it on the host",
            ));
        }
        let input = self.operand(id, name)?;
        let [images, height, width, channels] = self.network.tensors[input].place.dimensions();
        let kernel_height = if over(2) { height } else { 1 };
        let kernel_width = if over(1) { width } else { 1 };
        let window = Window {
            kernel_height,
            kernel_width,
            stride_height: 1,
            stride_width: 1,
            padding: Padding::default(),
        };
        check_window(self, name, &window)?;
        let outputs = if over(0) { 1 } else { channels };
        let taps = kernel_height * kernel_width;
        let weights = match over(0) {
            true => Weights::Dense { elements: vec![1; taps * channels], inputs: channels },
            false => {
                Weights::Depthwise { elements: vec![1; taps * channels], outputs: channels, multiplier: 1 }
            }
        };
        let parameters = &mean.parameters;
        let product = Product {
            window,
            pad_value: 0,
            weights,
            bias: vec![(parameters.count as i32).wrapping_mul(-parameters.input_zero_point); outputs],
            multipliers: vec![parameters.multiplier; outputs],
            output_zero_point: parameters.output_zero_point,
            range: ActivationRange::FULL,
        };
        let operation = if over(0) { Operation::Product(product) } else { Operation::Depthwise(product) };
        let made = [images, height + 1 - kernel_height, width + 1 - kernel_width, outputs];
        let output_id = operator.outputs[0];
        let (output_name, output_shape) =
            (self.graph[output_id].name.clone(), self.graph[output_id].shape.clone());
        let output = self.make(&output_name, &output_shape, made, name)?;
        self.holders[output_id.0] = Some(Holder::Device(output));
        self.layer(name, vec![input], output, operation, 0);
        Ok(())
    }

    fn pad(&mut self, operator: &Operator, pad: &Pad, dump_layers: bool) -> Result<(), CompileError> {
        let name = operator.name.as_str();
        let id = operator.inputs[0].expect("the reader checked the operands");
        let output_id = operator.outputs[0];
        let shape = self.graph[id].shape.clone();
        let side =
            |back: usize| pad.paddings.len().checked_sub(back).map_or((0, 0), |index| pad.paddings[index]);
        let (rows, columns, channels) = (side(3), side(2), side(1));
        let outer = pad.paddings.len().saturating_sub(3);
        let images_stay = pad.paddings[..outer].iter().all(|padding| *padding == (0, 0));
        if channels == (0, 0) && images_stay {
            let padding = Padding { top: rows.0, bottom: rows.1, left: columns.0, right: columns.1 };
            self.holders[output_id.0] = Some(Holder::Margin { source: id, padding, value: pad.value });
            if dump_layers {
                // Whoever wants to see the layer sees it.
                self.materialised(output_id, name)?;
            }
            return Ok(());
        }
        let input = self.operand(id, name)?;
        let output = self.new_tensor(output_id, name)?;
        let target_strides = strides(&self.graph[output_id].shape);
        let target_offset =
            pad.paddings.iter().zip(&target_strides).map(|(padding, stride)| padding.0 * stride).sum();
        let part = CopyPart {
            input: 0,
            source_offset: 0,
            source_strides: strides(&shape),
            sizes: shape,
            target_offset,
            target_strides,
        };
        let copy = Copy { fill: Some(pad.value), parts: vec![part] };
        self.layer(name, vec![input], output, Operation::Copy(copy), 0);
        Ok(())
    }

    fn concatenation(&mut self, operator: &Operator, axis: usize) -> Result<(), CompileError> {
        let name = operator.name.as_str();
        let output_shape = self.graph.output(operator).shape.clone();
        let target_strides = strides(&output_shape);
        let (mut inputs, mut parts, mut start) = (Vec::new(), Vec::new(), 0);
        for id in operator.inputs.iter().flatten() {
            let shape = self.graph[*id].shape.clone();
            let size = shape[axis];
            if shape.contains(&0) {
                continue;
            }
            let tensor = self.operand(*id, name)?;
            let input = inputs.iter().position(|input| *input == tensor).unwrap_or(inputs.len());
            if input == inputs.len() {
                inputs.push(tensor);
            }
            parts.push(CopyPart {
                input,
                source_offset: 0,
                source_strides: strides(&shape),
                sizes: shape,
                target_offset: start * target_strides[axis],
                target_strides: target_strides.clone(),
            });
            start += size;
        }
        let output = self.new_tensor(operator.outputs[0], name)?;
        self.layer(name, inputs, output, Operation::Copy(Copy { fill: None, parts }), 0);
        Ok(())
    }
}

/// Whether an operand of so many images meets a result of so many: image by image, or one for all.
fn position_meets_all(own: usize, wanted: usize) -> bool {
    own == wanted || own == 1
}

fn padded(window: Window, padding: Padding) -> Window {
    let own = window.padding;
    let padding = Padding {
        top: own.top + padding.top,
        left: own.left + padding.left,
        bottom: own.bottom + padding.bottom,
        right: own.right + padding.right,
    };
    Window { padding, ..window }
}

/// Kernels and steps have 8 bits in a command.
fn check_window(pass: &Pass<'_>, layer: &str, window: &Window) -> Result<(), CompileError> {
    let (kernel, step) =
        (window.kernel_height.max(window.kernel_width), window.stride_height.max(window.stride_width));
    if kernel > MAX_KERNEL || step > 255 {
        let problem = format!(
            "a kernel of {}x{} in steps of {}x{}; kernels may be 256, steps 255. Use two smaller layers",
            window.kernel_height, window.kernel_width, window.stride_height, window.stride_width
        );
        return Err(pass.unsupported(layer, problem));
    }
    Ok(())
}
