//! Pass *legalise*: graph operators become layers that one engine computes.
//!
//! * A reshape of a tensor on the accelerator is another name for it.
//! * What only the host computes (softmax) and what follows it is split off.
//! * A fully connected layer is a convolution whose kernel is the whole image.
//! * The input's zero point goes into the bias: `sum((x - z) * w) = sum(x * w) - z * sum(w)`, so the array computes plain dot
//!   products, and a pixel outside the image reads as `z`.

use crate::error::CompileError;
use crate::layer::{Layer, Network, Operation, Output, Placement, Pool, PoolKind, Product, Tensor, Weights};
use frugal_graph::{DataType, Graph, Operator, OperatorKind, OutputStage, TensorId, Window};
use frugal_isa::Config;
use frugal_quant::SoftmaxParameters;

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
    Softmax { parameters: SoftmaxParameters, row_length: usize },
    Reshape,
}

/// A network for the accelerator, and what remains for the host.
#[derive(Clone, Debug)]
pub struct Legalised {
    pub network: Network,
    pub host: Vec<HostStep>,
    /// Where each output of the model comes from.
    pub results: Vec<HostSource>,
}

/// Who holds a tensor of the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holder {
    /// Tensor of the network.
    Device(usize),
    /// Host step.
    Host(usize),
}

struct Pass<'a> {
    graph: &'a Graph,
    config: &'a Config,
    holders: Vec<Option<Holder>>,
    network: Network,
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
    let mut pass =
        Pass { graph, config, holders: vec![None; graph.tensors.len()], network, host: Vec::new() };
    for (index, id) in graph.inputs.iter().enumerate() {
        let tensor = pass.tensor(*id, &format!("input {index}"))?;
        pass.network.inputs.push(tensor);
    }
    for operator in &graph.operators {
        pass.operator(operator)?;
    }
    let mut results = Vec::new();
    for (index, id) in graph.outputs.iter().enumerate() {
        results.push(match pass.holder(*id, &format!("output {index}"))? {
            Holder::Device(tensor) => HostSource::Device(pass.device_output(*id, tensor)),
            Holder::Host(step) => HostSource::Step(step),
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
    Ok(Legalised { network: pass.network, host: pass.host, results })
}

impl Pass<'_> {
    /// Makes the image for a tensor of the graph.
    fn tensor(&mut self, id: TensorId, layer: &str) -> Result<usize, CompileError> {
        let tensor = &self.graph[id];
        if tensor.data_type != DataType::I8 {
            return Err(
                self.unsupported(layer, format!("a tensor of {}; only int8 is supported", tensor.data_type))
            );
        }
        let (height, width, channels) = match tensor.shape[..] {
            [] => (1, 1, 1),
            [c] => (1, 1, c),
            [n, c] => (1, n, c),
            [h, w, c] => (h, w, c),
            [1, h, w, c] => (h, w, c),
            [batch, _, _, _] => return Err(CompileError::Batch { layer: layer.to_owned(), batch }),
            _ => return Err(self.unsupported(layer, format!("a tensor of shape {:?}", tensor.shape))),
        };
        if tensor.element_count() == 0 {
            return Err(self.unsupported(layer, format!("an empty tensor of shape {:?}", tensor.shape)));
        }
        // Coordinates are 16 bits, signed, with room for a kernel beyond the image.
        if height > 32_000 || width > 32_000 || channels > 1 << 20 {
            let problem = format!("shape {:?}; height and width may be 32000, channels 2^20", tensor.shape);
            return Err(self.unsupported(layer, problem));
        }
        let place = Placement::new(height, width, channels, self.config);
        let index = self.network.tensors.len();
        self.network.tensors.push(Tensor { name: tensor.name.clone(), shape: tensor.shape.clone(), place });
        self.holders[id.0] = Some(Holder::Device(index));
        Ok(index)
    }

    fn unsupported(&self, layer: &str, problem: String) -> CompileError {
        CompileError::Unsupported { layer: layer.to_owned(), problem }
    }

    fn holder(&self, id: TensorId, layer: &str) -> Result<Holder, CompileError> {
        self.holders[id.0].ok_or_else(|| self.unsupported(layer, "it reads a constant".to_owned()))
    }

    /// Index of the program's output that is this tensor.
    fn device_output(&mut self, id: TensorId, tensor: usize) -> usize {
        if let Some(index) = self.network.outputs.iter().position(|output| output.tensor == tensor) {
            return index;
        }
        let (name, shape) = (self.graph[id].name.clone(), self.graph[id].shape.clone());
        self.network.outputs.push(Output { name, tensor, shape });
        self.network.outputs.len() - 1
    }

    /// The image that an operator reads, which must have the shape that the operator sees.
    fn operand(&self, operator: &Operator, position: usize, any_shape: bool) -> Result<usize, CompileError> {
        let id = operator.inputs[position].expect("the reader checked the operands");
        match self.holder(id, &operator.name)? {
            Holder::Host(step) => Err(CompileError::HostInTheMiddle {
                layer: operator.name.clone(),
                producer: self.host[step].name.clone(),
            }),
            Holder::Device(tensor) => {
                let place = &self.network.tensors[tensor].place;
                let image = [1, place.height, place.width, place.channels];
                let seen = &self.graph[id].shape;
                let same = seen.len() <= 4
                    && image[4 - seen.len()..] == **seen
                    && image[..4 - seen.len()].iter().all(|n| *n == 1);
                if same || any_shape {
                    return Ok(tensor);
                }
                let problem = format!(
                    "it reads a tensor of {}x{}x{} reshaped to {seen:?}; only a fully connected layer may",
                    place.height, place.width, place.channels
                );
                Err(self.unsupported(&operator.name, problem))
            }
        }
    }

    fn operator(&mut self, operator: &Operator) -> Result<(), CompileError> {
        let graph = self.graph;
        let output_id = operator.outputs[0];
        let (inputs, operation) = match &operator.kind {
            OperatorKind::Softmax(softmax) => {
                let row_length = graph.output(operator).shape.last().copied().unwrap_or(1);
                let kind = HostKind::Softmax { parameters: softmax.parameters, row_length };
                return self.host_step(operator, kind);
            }
            OperatorKind::Reshape(_) => {
                let id = operator.inputs[0].expect("the reader checked the operands");
                return match self.holder(id, &operator.name)? {
                    holder @ Holder::Device(_) => {
                        self.holders[output_id.0] = Some(holder);
                        Ok(())
                    }
                    Holder::Host(_) => self.host_step(operator, HostKind::Reshape),
                };
            }
            OperatorKind::Conv2d(conv) => {
                let input = self.operand(operator, 0, false)?;
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let inputs = self.network.tensors[input].place.channels;
                let weights = Weights::Dense { elements, inputs };
                let product = self.product(operator, conv.window, &conv.output_stage, weights);
                (vec![input], Operation::Product(product))
            }
            OperatorKind::DepthwiseConv2d(conv) => {
                let input = self.operand(operator, 0, false)?;
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let outputs = graph.output(operator).shape[3];
                let weights = Weights::Depthwise { elements, outputs, multiplier: conv.depth_multiplier };
                let product = self.product(operator, conv.window, &conv.output_stage, weights);
                // Several outputs of one channel are products with diagonal tiles.
                let operation = match conv.depth_multiplier {
                    1 => Operation::Depthwise(product),
                    _ => Operation::Product(product),
                };
                (vec![input], operation)
            }
            OperatorKind::FullyConnected(layer) => {
                let input = self.operand(operator, 0, true)?;
                let place = self.network.tensors[input].place;
                let rows_are_pixels =
                    place.height == 1 && place.width == layer.batches && place.channels == layer.input_depth;
                let (kernel_height, kernel_width) = match layer.batches {
                    _ if rows_are_pixels => (1, 1),
                    1 => (place.height, place.width),
                    _ => {
                        let problem = format!(
                            "a batch of {} rows from a tensor of {}x{}x{}",
                            layer.batches, place.height, place.width, place.channels
                        );
                        return Err(self.unsupported(&operator.name, problem));
                    }
                };
                let window = Window {
                    kernel_height,
                    kernel_width,
                    stride_height: 1,
                    stride_width: 1,
                    padding: Default::default(),
                };
                let elements = graph.weights(operator).unwrap_or_default().to_vec();
                let weights = Weights::Dense { elements, inputs: place.channels };
                let product = self.product(operator, window, &layer.output_stage, weights);
                (vec![input], Operation::Product(product))
            }
            OperatorKind::Add(add) => {
                let shapes = [0, 1].map(|position| graph.input(operator, position).map(|t| &t.shape));
                if shapes[0] != shapes[1] {
                    return Err(self.unsupported(&operator.name, "operands of different shapes".to_owned()));
                }
                let inputs = vec![self.operand(operator, 0, false)?, self.operand(operator, 1, false)?];
                (inputs, Operation::Add(add.parameters))
            }
            OperatorKind::AveragePool2d(pool) => {
                let input = self.operand(operator, 0, false)?;
                let kind = PoolKind::Average;
                (vec![input], Operation::Pool(Pool { window: pool.window, kind, range: pool.range }))
            }
            OperatorKind::MaxPool2d(pool) => {
                let input = self.operand(operator, 0, false)?;
                let kind = PoolKind::Maximum;
                (vec![input], Operation::Pool(Pool { window: pool.window, kind, range: pool.range }))
            }
            OperatorKind::Sub(_)
            | OperatorKind::Mul(_)
            | OperatorKind::Mean(_)
            | OperatorKind::Pad(_)
            | OperatorKind::Concatenation(_)
            | OperatorKind::Unary(_)
            | OperatorKind::Quantize(_)
            | OperatorKind::Dequantize(_) => {
                let problem = format!("{} does not run on the accelerator yet", operator.kind.name());
                return Err(self.unsupported(&operator.name, problem));
            }
        };
        self.check_window(operator, &operation)?;
        let output = match operator.kind {
            // The output keeps the rows where its input has them, whatever leading dimensions it claims.
            OperatorKind::FullyConnected(ref layer) => {
                let shape = graph.output(operator).shape.clone();
                let place = Placement::new(1, layer.batches, layer.output_depth, self.config);
                let index = self.network.tensors.len();
                let name = graph.output(operator).name.clone();
                self.network.tensors.push(Tensor { name, shape, place });
                self.holders[output_id.0] = Some(Holder::Device(index));
                index
            }
            _ => self.tensor(output_id, &operator.name)?,
        };
        self.network.layers.push(Layer {
            name: operator.name.clone(),
            inputs,
            output,
            operation,
            multiply_accumulates: graph.multiply_accumulates(operator),
        });
        Ok(())
    }

    fn host_step(&mut self, operator: &Operator, kind: HostKind) -> Result<(), CompileError> {
        let id = operator.inputs[0].expect("the reader checked the operands");
        let source = match self.holder(id, &operator.name)? {
            Holder::Device(tensor) => HostSource::Device(self.device_output(id, tensor)),
            Holder::Host(step) => HostSource::Step(step),
        };
        self.holders[operator.outputs[0].0] = Some(Holder::Host(self.host.len()));
        self.host.push(HostStep { name: operator.name.clone(), kind, source });
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

    /// Kernels and steps have 8 bits in a command.
    fn check_window(&self, operator: &Operator, operation: &Operation) -> Result<(), CompileError> {
        let window = match operation {
            Operation::Product(product) | Operation::Depthwise(product) => product.window,
            Operation::Packed(packed) => packed.product.window,
            Operation::Pool(pool) => pool.window,
            Operation::Add(_) => return Ok(()),
        };
        let (kernel, step) =
            (window.kernel_height.max(window.kernel_width), window.stride_height.max(window.stride_width));
        if kernel > 256 || step > 255 {
            let problem = format!(
                "a kernel of {}x{} in steps of {}x{}; kernels may be 256, steps 255",
                window.kernel_height, window.kernel_width, window.stride_height, window.stride_width
            );
            return Err(self.unsupported(&operator.name, problem));
        }
        Ok(())
    }
}
