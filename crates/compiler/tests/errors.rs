//! What the compiler says about models that it cannot compile.

use frugal_compiler::{compile, CompileError, CompileOptions, HostKind};
use frugal_graph::graph::{Constant, DataType};
use frugal_graph::npy::Elements;
use frugal_graph::{
    Add, Conv2d, Graph, Operator, OperatorKind, OutputStage, Reshape, Softmax, Tensor, TensorId, Window,
};
use frugal_isa::Config;
use frugal_quant::{Activation, ActivationRange, AddParameters, Multiplier, SoftmaxParameters};

/// The error, without printing a whole program when there is none.
fn failure(result: Result<frugal_compiler::Compiled, CompileError>) -> CompileError {
    result.map(|_| "a program").expect_err("it cannot be compiled")
}

struct Model(Graph);

impl Model {
    fn new(shape: &[usize]) -> Model {
        let mut model = Model(Graph {
            name: "model".into(),
            tensors: Vec::new(),
            operators: Vec::new(),
            inputs: vec![TensorId(0)],
            outputs: Vec::new(),
        });
        model.tensor(shape, None);
        model
    }

    fn tensor(&mut self, shape: &[usize], data: Option<Constant>) -> TensorId {
        let name = format!("t{}", self.0.tensors.len());
        let shape = shape.to_vec();
        self.0.tensors.push(Tensor { name, shape, data_type: DataType::I8, quantisation: None, data });
        TensorId(self.0.tensors.len() - 1)
    }

    fn operator(&mut self, kind: OperatorKind, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let output = self.tensor(shape, None);
        let index = self.0.operators.len();
        let name = format!("op{index:02}_{}", kind.name());
        let inputs = inputs.iter().map(|id| Some(*id)).collect();
        self.0.operators.push(Operator { index, name, kind, inputs, outputs: vec![output] });
        self.0.outputs = vec![output];
        output
    }

    /// A convolution without padding.
    fn conv(&mut self, input: TensorId, outputs: usize, kernel: (usize, usize)) -> TensorId {
        let [batch, height, width, channels] = self.0[input].shape[..] else { panic!("an image") };
        let count = outputs * kernel.0 * kernel.1 * channels;
        let weights =
            self.tensor(&[outputs, kernel.0, kernel.1, channels], Some(Constant::I8(vec![1; count])));
        let window = Window {
            kernel_height: kernel.0,
            kernel_width: kernel.1,
            stride_height: 1,
            stride_width: 1,
            padding: Default::default(),
        };
        let output_stage = OutputStage {
            multipliers: vec![Multiplier::from_real(0.01).expect("in range"); outputs],
            input_zero_point: 0,
            output_zero_point: 0,
            activation: Activation::None,
            range: ActivationRange::FULL,
        };
        let shape = [batch, height - kernel.0 + 1, width - kernel.1 + 1, outputs];
        self.operator(OperatorKind::Conv2d(Conv2d { window, output_stage }), &[input, weights], &shape)
    }

    fn softmax(&mut self, input: TensorId) -> TensorId {
        let parameters = SoftmaxParameters::new(0.1, 1.0).expect("in range");
        let shape = self.0[input].shape.clone();
        self.operator(OperatorKind::Softmax(Softmax { beta: 1.0, parameters }), &[input], &shape)
    }

    fn reshape(&mut self, input: TensorId, shape: &[usize]) -> TensorId {
        self.operator(OperatorKind::Reshape(Reshape::Reshape), &[input], shape)
    }

    fn compile(&self, config: &str) -> Result<frugal_compiler::Compiled, CompileError> {
        compile(&self.0, &Config::preset(config).expect("a preset"), &CompileOptions::default())
    }

    fn error(&self, config: &str) -> String {
        failure(self.compile(config)).to_string()
    }
}

#[test]
fn layers_after_the_host_are_named() {
    let mut model = Model::new(&[1, 4, 4, 8]);
    let softmax = model.softmax(TensorId(0));
    model.conv(softmax, 8, (1, 1));
    let text = model.error("base");
    assert!(
        text.contains("op01_CONV_2D reads op00_SOFTMAX") && text.contains("cut the model after it"),
        "{text}"
    );
}

#[test]
fn a_memory_that_is_too_small_is_named_with_a_preset_that_would_do() {
    let mut model = Model::new(&[1, 8, 8, 200]);
    model.conv(TensorId(0), 200, (5, 5));
    let mut config = Config::preset("base").expect("a preset");
    config.name = "tiny".into();
    config.activation_depth = 16;
    let error = failure(compile(&model.0, &config, &CompileOptions::default()));
    let text = error.to_string();
    assert!(text.contains("layer op00_CONV_2D: the activation scratchpad needs"), "{text}");
    assert!(text.contains(" vectors of 16 bytes, 'tiny' has 16: "), "{text}");
    assert!(
        text.contains(" bytes) are missing. Use --config nano, or a configuration with activation_depth "),
        "{text}"
    );
    let CompileError::DoesNotFit(shortage) = error else { panic!("{text}") };
    let missing = shortage.needs - shortage.has;
    assert!(text.contains(&format!(": {missing} ({} bytes) are missing", 16 * missing)), "{text}");
}

#[test]
fn where_no_preset_is_large_enough_the_depth_is_named() {
    let mut model = Model::new(&[1, 200, 200, 64]);
    model.conv(TensorId(0), 1, (200, 200));
    let error = failure(model.compile("base"));
    let text = error.to_string();
    assert!(text.contains("No preset is large enough: make the layer smaller, or use"), "{text}");
    assert!(text.contains("activation_depth 65536 at least"), "{text}");
    let CompileError::DoesNotFit(mut shortage) = error else { panic!("{text}") };
    shortage.needs = 65537;
    let text = CompileError::DoesNotFit(shortage).to_string();
    assert!(
        text.ends_with(" are missing. No configuration is large enough: make the layer smaller"),
        "{text}"
    );
}

#[test]
fn kernels_beyond_a_command_are_named() {
    let mut model = Model::new(&[1, 300, 1, 4]);
    model.conv(TensorId(0), 4, (300, 1));
    let text = model.error("base");
    assert!(text.contains("300x1") && text.contains("256"), "{text}");
}

#[test]
fn invalid_configurations_are_refused() {
    let mut model = Model::new(&[1, 4, 4, 8]);
    model.conv(TensorId(0), 8, (1, 1));
    let mut config = Config::preset("base").expect("a preset");
    config.cols = 3;
    let error = failure(compile(&model.0, &config, &CompileOptions::default()));
    assert!(matches!(error, CompileError::Config(_)));
}

#[test]
fn host_steps_are_listed_and_computed() {
    let mut model = Model::new(&[1, 1, 1, 4]);
    let softmax = model.softmax(TensorId(0));
    model.reshape(softmax, &[4]);
    let compiled = model.compile("base").expect("it compiles");
    let names: Vec<&str> = compiled.host.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["op00_SOFTMAX", "op01_RESHAPE"]);
    assert!(matches!(compiled.host[0].kind, HostKind::Softmax { row_length: 4, .. }));
    let results = compiled.finish(&[vec![3, 3, 3, 3]]).expect("one output");
    assert_eq!(results, [Elements::I8(vec![-64; 4])]);
    assert!(compiled.finish(&[]).expect_err("none given").to_string().contains("1 outputs, 0 were given"));
    assert!(compiled.finish(&[vec![1]]).expect_err("too short").to_string().contains("has 4 elements, 1"));
}

#[test]
fn the_smaller_operand_of_an_addition_is_computed_first() {
    let mut model = Model::new(&[1, 6, 6, 16]);
    let first = model.conv(TensorId(0), 16, (1, 1));
    let long = model.conv(first, 16, (3, 3));
    let short = model.conv(TensorId(0), 16, (3, 3));
    let shortest = model.conv(first, 8, (3, 3));
    let full = ActivationRange::FULL;
    let parameters = AddParameters::new(0.1, 0, 0.1, 0, 0.1, 0, full).expect("in range");
    let kind = OperatorKind::Add(Add { parameters, activation: Activation::None });
    model.operator(kind.clone(), &[long, short], &[1, 4, 4, 16]);
    let half = model.conv(short, 8, (1, 1));
    model.operator(kind, &[shortest, half], &[1, 4, 4, 8]);
    let compiled = model.compile("base").expect("it compiles");
    let names: Vec<&str> = compiled.layers.iter().map(|layer| &layer.name[..4]).collect();
    // The operands of the first addition are equal; the last convolution is the smallest and moves ahead.
    assert_eq!(names, ["op00", "op01", "op02", "op05", "op03", "op04", "op06"]);
}
