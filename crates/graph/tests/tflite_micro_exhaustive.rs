//! Every input that elementwise operators can have, for many quantisations, against the TensorFlow Lite Micro interpreter.
//! Random networks see too few elements to tell roundings apart that differ once in a million.

mod tflm;

use frugal_graph::npy::Elements;
use frugal_graph::random::Random;
use frugal_graph::{
    tflite, Add, DataType, Graph, Mul, Operator, OperatorKind, Quantisation, Sub, Tensor, TensorId, Unary,
    UnaryFunction,
};
use frugal_quant::sigmoid::{LOGISTIC_OUTPUT, TANH_OUTPUT};
use frugal_quant::{Activation, ActivationRange, AddParameters, Affine, MulParameters, Table};
use tflm::{number_from_environment, Interpreter};

fn empty_graph() -> Graph {
    Graph { name: "exhaustive".into(), tensors: vec![], operators: vec![], inputs: vec![], outputs: vec![] }
}

fn tensor(graph: &mut Graph, elements: usize, affine: Affine) -> TensorId {
    let quantisation = Quantisation::PerTensor { scale: affine.scale, zero_point: affine.zero_point };
    let name = format!("t{}", graph.tensors.len());
    let (shape, data_type) = (vec![1, elements], DataType::I8);
    graph.tensors.push(Tensor { name, shape, data_type, quantisation: Some(quantisation), data: None });
    TensorId(graph.tensors.len() - 1)
}

fn operator(graph: &mut Graph, kind: OperatorKind, inputs: &[TensorId], affine: Affine) {
    let elements = graph[inputs[0]].element_count();
    let output = tensor(graph, elements, affine);
    let index = graph.operators.len();
    let (name, inputs) =
        (format!("op{index:02}_{}", kind.name()), inputs.iter().copied().map(Some).collect());
    graph.operators.push(Operator { index, name, kind, inputs, outputs: vec![output] });
    graph.outputs.push(output);
}

/// The graph with all that follows from its tensors.
fn resolved(graph: &Graph) -> Graph {
    tflite::read(&tflite::write(graph).expect("small enough")).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn sums_differences_and_products_of_every_pair() {
    let rounds = number_from_environment("FRUGAL_EXHAUSTIVE_ROUNDS", 25);
    let first_seed = number_from_environment("FRUGAL_RANDOM_SEED", 1);
    let mut interpreter = Interpreter::start();
    let bytes: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    let first: Vec<i8> = bytes.iter().flat_map(|&a| vec![a; 256]).collect();
    let second = bytes.repeat(256);
    let inputs = [Elements::I8(first), Elements::I8(second)];
    let activation = Activation::None;
    // What stands in for the parameters that the reader computes.
    let full = ActivationRange::FULL;
    let parameters = AddParameters::new(1.0, 0, 1.0, 0, 1.0, 0, full).expect("valid");
    let product = MulParameters::new(1.0, 0, 1.0, 0, 1.0, 0, full).expect("valid");
    let mut compared = 0;
    for seed in first_seed..first_seed + rounds {
        let mut random = Random::new(seed);
        let (a, b) = (random.affine(), random.affine());
        let mut graph = empty_graph();
        graph.inputs = vec![tensor(&mut graph, 65_536, a), tensor(&mut graph, 65_536, b)];
        let operands = graph.inputs.clone();
        let mut output = |scale: f32, low: f64, high: f64| Affine {
            scale: scale * random.real(low, high) as f32,
            zero_point: random.zero_point(),
        };
        for _ in 0..4 {
            let sum = output(a.scale + b.scale, 0.2, 1.2);
            operator(&mut graph, OperatorKind::Add(Add { parameters, activation }), &operands, sum);
            let difference = output(a.scale + b.scale, 0.2, 1.2);
            operator(&mut graph, OperatorKind::Sub(Sub { parameters, activation }), &operands, difference);
            let scaled = output(a.scale * b.scale, 20.0, 250.0);
            let mul = Mul { parameters: product, activation };
            operator(&mut graph, OperatorKind::Mul(mul), &operands, scaled);
        }
        compared += interpreter
            .compare(&resolved(&graph), &inputs)
            .unwrap_or_else(|error| panic!("seed {seed} (FRUGAL_RANDOM_SEED): {error}"));
    }
    println!("{compared} pairs, 0 differences");
}

#[test]
fn functions_of_every_byte() {
    let rounds = number_from_environment("FRUGAL_EXHAUSTIVE_ROUNDS", 25);
    let first_seed = number_from_environment("FRUGAL_RANDOM_SEED", 1);
    let mut interpreter = Interpreter::start();
    let inputs = [Elements::I8((i8::MIN..=i8::MAX).collect())];
    let table = Table([0; 256]);
    let mut compared = 0;
    for seed in first_seed..first_seed + rounds {
        let mut random = Random::new(seed);
        let mut input = random.affine();
        if random.once_in(5) {
            // Scales at which sigmoids are saturated.
            input.scale *= 20.0;
        }
        let mut graph = empty_graph();
        let id = tensor(&mut graph, 256, input);
        graph.inputs = vec![id];
        let mut add = |function, output| {
            operator(&mut graph, OperatorKind::Unary(Unary { function, table }), &[id], output);
        };
        add(UnaryFunction::Logistic, LOGISTIC_OUTPUT);
        add(UnaryFunction::Tanh, TANH_OUTPUT);
        add(UnaryFunction::Relu6, input);
        for _ in 0..60 {
            let mut output = |low, high| Affine {
                scale: input.scale * random.real(low, high) as f32,
                zero_point: random.zero_point(),
            };
            add(UnaryFunction::Relu, output(0.1, 3.0));
            add(UnaryFunction::Quantize, output(0.1, 3.0));
            add(UnaryFunction::HardSwish, output(0.01, 3.0));
            let sloped = output(0.1, 3.0);
            let alpha = random.real(0.0, 2.0) as f32;
            add(UnaryFunction::LeakyRelu { alpha }, sloped);
        }
        compared += interpreter
            .compare(&resolved(&graph), &inputs)
            .unwrap_or_else(|error| panic!("seed {seed} (FRUGAL_RANDOM_SEED): {error}"));
    }
    println!("{compared} elements, 0 differences");
}
