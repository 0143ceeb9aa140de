//! Random networks: valid graphs of random layers, made from a seed.

use frugal_graph::graph::{Constant, DataType};
use frugal_graph::{
    Add, Conv2d, DepthwiseConv2d, FullyConnected, Graph, Operator, OperatorKind, OutputStage, Padding,
    Pool2d, Tensor, TensorId, Window,
};
use frugal_isa::Config;
use frugal_quant::{Activation, ActivationRange, AddParameters, Multiplier};
use proptest::prelude::*;

/// A window before it meets an image.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    pub kernel: (usize, usize),
    stride: (usize, usize),
    same: bool,
}

#[derive(Clone, Debug)]
pub enum LayerSpec {
    Conv {
        window: WindowSpec,
        outputs: usize,
    },
    Depthwise {
        window: WindowSpec,
        multiplier: usize,
    },
    AveragePool {
        window: WindowSpec,
    },
    MaxPool {
        window: WindowSpec,
    },
    /// Adds the latest tensor and an earlier one of the same shape, if there is one; otherwise itself.
    Add {
        back: usize,
    },
    FullyConnected {
        outputs: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Case {
    pub config: Config,
    pub image: (usize, usize, usize),
    pub layers: Vec<LayerSpec>,
    pub seed: u64,
}

/// A small generator, so that a case is its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, low: i32, high: i32) -> i32 {
        low + (self.next() % (high - low + 1) as u64) as i32
    }

    fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.next() as i8).collect()
    }

    /// Often the whole range of int8.
    fn range(&mut self) -> ActivationRange {
        match self.within(0, 2) {
            0 => ActivationRange { min: self.within(-128, 0) as i8, max: self.within(0, 127) as i8 },
            _ => ActivationRange::FULL,
        }
    }
}

struct Builder {
    graph: Graph,
    random: Random,
    /// Activations so far.
    values: Vec<TensorId>,
}

impl Builder {
    fn tensor(&mut self, shape: Vec<usize>, data: Option<Constant>) -> TensorId {
        let data_type = if matches!(data, Some(Constant::I32(_))) { DataType::I32 } else { DataType::I8 };
        let name = format!("t{}", self.graph.tensors.len());
        self.graph.tensors.push(Tensor { name, shape, data_type, quantisation: None, data });
        TensorId(self.graph.tensors.len() - 1)
    }

    fn operator(&mut self, kind: OperatorKind, inputs: Vec<Option<TensorId>>, shape: Vec<usize>) {
        let output = self.tensor(shape, None);
        let index = self.graph.operators.len();
        let name = format!("op{index:02}_{}", kind.name());
        self.graph.operators.push(Operator { index, name, kind, inputs, outputs: vec![output] });
        self.values.push(output);
    }

    fn latest(&self) -> (TensorId, Vec<usize>) {
        let id = *self.values.last().expect("the input is there");
        (id, self.graph[id].shape.clone())
    }

    /// Places the window on an image: the window, output height and width.
    fn window(&self, spec: &WindowSpec, height: usize, width: usize) -> (Window, usize, usize) {
        let place = |size: usize, kernel: usize, stride: usize| {
            if spec.same {
                let output = size.div_ceil(stride);
                let total = ((output - 1) * stride + kernel).saturating_sub(size);
                (kernel, output, total / 2, total - total / 2)
            } else {
                let kernel = kernel.min(size);
                (kernel, (size - kernel) / stride + 1, 0, 0)
            }
        };
        let (kernel_height, rows, top, bottom) = place(height, spec.kernel.0, spec.stride.0);
        let (kernel_width, columns, left, right) = place(width, spec.kernel.1, spec.stride.1);
        let padding = Padding { top, left, bottom, right };
        let (stride_height, stride_width) = spec.stride;
        (Window { kernel_height, kernel_width, stride_height, stride_width, padding }, rows, columns)
    }

    /// An output stage that spreads sums over `depth` products of random bytes over int8.
    fn stage(&mut self, channels: usize, depth: usize) -> OutputStage {
        let typical = 1.0 / (73.0 * (depth as f64).sqrt());
        let multipliers = (0..channels)
            .map(|_| match self.random.within(0, 15) {
                0 => Multiplier::ZERO,
                1 => Multiplier::from_real(self.random.real(1.0, 3.0)).expect("in range"),
                _ => Multiplier::from_real(typical * self.random.real(0.3, 2.0)).expect("in range"),
            })
            .collect();
        OutputStage {
            multipliers,
            input_zero_point: self.random.within(-128, 127),
            output_zero_point: self.random.within(-128, 127),
            activation: Activation::None,
            range: self.random.range(),
        }
    }

    /// Input, weights and, mostly, a bias.
    fn operands(&mut self, input: TensorId, shape: Vec<usize>, channels: usize) -> Vec<Option<TensorId>> {
        let elements = self.random.bytes(shape.iter().product());
        let weights = self.tensor(shape, Some(Constant::I8(elements)));
        let bias = (self.random.within(0, 3) > 0).then(|| {
            let bias = (0..channels).map(|_| self.random.within(-20_000, 20_000)).collect();
            self.tensor(vec![channels], Some(Constant::I32(bias)))
        });
        vec![Some(input), Some(weights), bias]
    }

    fn layer(&mut self, spec: &LayerSpec) {
        let (input, shape) = self.latest();
        if let LayerSpec::FullyConnected { outputs } = *spec {
            let depth = shape.iter().product();
            let output_stage = self.stage(outputs, depth);
            let inputs = self.operands(input, vec![outputs, depth], outputs);
            let layer =
                FullyConnected { batches: 1, input_depth: depth, output_depth: outputs, output_stage };
            return self.operator(OperatorKind::FullyConnected(layer), inputs, vec![1, outputs]);
        }
        if let LayerSpec::Add { back } = *spec {
            let other = self
                .values
                .iter()
                .rev()
                .filter(|id| self.graph[**id].shape == shape)
                .nth(back)
                .copied()
                .unwrap_or(input);
            let mut scale = || self.random.real(0.01, 0.2) as f32;
            let (a, b, output) = (scale(), scale(), scale());
            let mut zero = || self.random.within(-128, 127);
            let (zero_a, zero_b, zero_output) = (zero(), zero(), zero());
            let range = self.random.range();
            let parameters =
                AddParameters::new(a, zero_a, b, zero_b, output, zero_output, range).expect("in range");
            let (first, second) = if self.random.within(0, 1) == 0 { (input, other) } else { (other, input) };
            let kind = OperatorKind::Add(Add { parameters, activation: Activation::None });
            return self.operator(kind, vec![Some(first), Some(second)], shape);
        }
        // Everything else works on images.
        let [_, height, width, channels] = shape[..] else { return };
        match spec {
            LayerSpec::Conv { window, outputs } => {
                let (window, rows, columns) = self.window(window, height, width);
                let taps = window.kernel_height * window.kernel_width * channels;
                let output_stage = self.stage(*outputs, taps);
                let weights = vec![*outputs, window.kernel_height, window.kernel_width, channels];
                let inputs = self.operands(input, weights, *outputs);
                let kind = OperatorKind::Conv2d(Conv2d { window, output_stage });
                self.operator(kind, inputs, vec![1, rows, columns, *outputs]);
            }
            LayerSpec::Depthwise { window, multiplier } => {
                let (window, rows, columns) = self.window(window, height, width);
                let outputs = channels * multiplier;
                let output_stage = self.stage(outputs, window.kernel_height * window.kernel_width);
                let weights = vec![1, window.kernel_height, window.kernel_width, outputs];
                let inputs = self.operands(input, weights, outputs);
                let conv = DepthwiseConv2d { window, depth_multiplier: *multiplier, output_stage };
                self.operator(OperatorKind::DepthwiseConv2d(conv), inputs, vec![1, rows, columns, outputs]);
            }
            LayerSpec::AveragePool { window } | LayerSpec::MaxPool { window } => {
                let (window, rows, columns) = self.window(window, height, width);
                let pool = Pool2d { window, activation: Activation::None, range: self.random.range() };
                let kind = match spec {
                    LayerSpec::AveragePool { .. } => OperatorKind::AveragePool2d(pool),
                    _ => OperatorKind::MaxPool2d(pool),
                };
                self.operator(kind, vec![Some(input)], vec![1, rows, columns, channels]);
            }
            LayerSpec::Add { .. } | LayerSpec::FullyConnected { .. } => unreachable!("handled above"),
        }
    }
}

impl Case {
    pub fn graph(&self) -> (Graph, Vec<i8>) {
        let (height, width, channels) = self.image;
        let graph = Graph {
            name: "random".into(),
            tensors: Vec::new(),
            operators: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let mut builder = Builder { graph, random: Random(self.seed), values: Vec::new() };
        let input = builder.tensor(vec![1, height, width, channels], None);
        builder.values.push(input);
        builder.graph.inputs.push(input);
        for layer in &self.layers {
            builder.layer(layer);
        }
        builder.graph.outputs.push(*builder.values.last().expect("the input is there"));
        let image = builder.random.bytes(height * width * channels);
        (builder.graph, image)
    }
}

fn any_window() -> impl Strategy<Value = WindowSpec> {
    ((1usize..=4, 1usize..=4), (1usize..=3, 1usize..=3), any::<bool>())
        .prop_map(|(kernel, stride, same)| WindowSpec { kernel, stride, same })
}

fn any_layer() -> impl Strategy<Value = LayerSpec> {
    prop_oneof![
        4 => (any_window(), 1usize..=40).prop_map(|(window, outputs)| LayerSpec::Conv { window, outputs }),
        1 => (any_window(), 1usize..=3).prop_map(|(window, multiplier)| LayerSpec::Depthwise { window, multiplier }),
        1 => any_window().prop_map(|window| LayerSpec::AveragePool { window }),
        1 => any_window().prop_map(|window| LayerSpec::MaxPool { window }),
        3 => (0usize..4).prop_map(|back| LayerSpec::Add { back }),
        1 => (1usize..=50).prop_map(|outputs| LayerSpec::FullyConnected { outputs }),
    ]
}

pub fn any_case(config: impl Strategy<Value = Config>) -> impl Strategy<Value = Case> {
    let image = (1usize..=12, 1usize..=12, 1usize..=40);
    (config, image, proptest::collection::vec(any_layer(), 1..6), any::<u64>())
        .prop_map(|(config, image, layers, seed)| Case { config, image, layers, seed })
}
