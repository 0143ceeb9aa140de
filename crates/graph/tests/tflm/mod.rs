//! TensorFlow Lite Micro in a process of its own, driven through `scripts/tflm_reference.py`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use frugal_graph::npy::Elements;
use frugal_graph::{reference, tflite, DataType, Graph, TensorId};

pub struct Interpreter {
    process: Child,
    requests: Option<ChildStdin>,
    answers: ChildStdout,
}

const ADVICE: &str =
    "run scripts/setup, which installs tflite-micro into .venv (Linux on x86-64, Python 3.10 or newer)";

impl Interpreter {
    /// Starts the process.
    pub fn start() -> Interpreter {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = root.join(".venv/bin/python");
        let probe = Command::new(&python)
            .args(["-c", "import numpy, tflite_micro.python.tflite_micro.runtime"])
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}: {ADVICE}", python.display()));
        let said = String::from_utf8_lossy(&probe.stderr);
        let last = said.lines().last().unwrap_or_default();
        assert!(probe.status.success(), "TensorFlow Lite Micro does not run ({last}): {ADVICE}");
        let mut process = Command::new(&python)
            .arg(root.join("scripts/tflm_reference.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let requests = process.stdin.take();
        let answers = process.stdout.take().expect("piped");
        Interpreter { process, requests, answers }
    }

    /// The output of every layer, in order.
    fn run(&mut self, graph: &Graph, inputs: &[Elements]) -> Result<Vec<Elements>, String> {
        let model = tflite::write(graph).map_err(|error| error.to_string())?;
        let mut request = vec![];
        put_bytes(&mut request, &model);
        put_number(&mut request, inputs.len());
        for input in inputs {
            put_bytes(&mut request, &bytes(input));
        }
        put_number(&mut request, graph.operators.len());
        for operator in &graph.operators {
            put_number(&mut request, operator.outputs[0].0);
        }
        let requests = self.requests.as_mut().expect("open until the end");
        requests.write_all(&request).and_then(|()| requests.flush()).map_err(|error| error.to_string())?;
        if self.number()? != 0 {
            let message = self.bytes()?;
            return Err(String::from_utf8_lossy(&message).into_owned());
        }
        let outputs = graph.operators.iter().map(|operator| {
            let bytes = self.bytes()?;
            Ok(match graph.output(operator).data_type {
                DataType::F32 => {
                    let words = bytes.chunks_exact(4);
                    Elements::F32(words.map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]])).collect())
                }
                DataType::U8 => Elements::U8(bytes),
                _ => Elements::I8(bytes.into_iter().map(|byte| byte as i8).collect()),
            })
        });
        outputs.collect()
    }

    /// Compares every layer of a network with the reference executor; the elements compared, or what differs first.
    pub fn compare(&mut self, graph: &Graph, inputs: &[Elements]) -> Result<usize, String> {
        let expected = self.run(graph, inputs).map_err(|error| {
            let layers = graph.operators.iter().map(|operator| {
                let inputs = operator.inputs.iter().flatten().map(|id| describe(graph, *id));
                let output = describe(graph, operator.outputs[0]);
                format!("{} {} -> {output}", operator.name, inputs.collect::<Vec<_>>().join(", "))
            });
            format!("{error}\n{}", layers.collect::<Vec<_>>().join("\n"))
        })?;
        let outputs = reference::run_all(graph, inputs).map_err(|error| error.to_string())?;
        let mut compared = 0;
        for ((operator, output), expected) in graph.operators.iter().zip(&outputs).zip(&expected) {
            if output != expected {
                let (output, expected) = (values(output), values(expected));
                let position = output.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
                return Err(format!(
                    "{}: element {position:?} is {:?} instead of {:?}, of {} and {}\n{:?}\n{:?} -> {:?}",
                    operator.name,
                    position.map(|position| output[position]),
                    position.map(|position| expected[position]),
                    output.len(),
                    expected.len(),
                    operator.kind,
                    operator.inputs.iter().flatten().map(|id| describe(graph, *id)).collect::<Vec<_>>(),
                    describe(graph, operator.outputs[0]),
                ));
            }
            compared += output.len();
        }
        Ok(compared)
    }

    fn number(&mut self) -> Result<usize, String> {
        let mut number = [0; 4];
        self.answers
            .read_exact(&mut number)
            .map_err(|error| format!("the interpreter died, its last words are above: {error}"))?;
        Ok(u32::from_le_bytes(number) as usize)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; self.number()?];
        self.answers.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // It ends at the end of its input.
        self.requests = None;
        let _ = self.process.wait();
    }
}

fn put_number(request: &mut Vec<u8>, number: usize) {
    request.extend((number as u32).to_le_bytes());
}

fn put_bytes(request: &mut Vec<u8>, bytes: &[u8]) {
    put_number(request, bytes.len());
    request.extend(bytes);
}

fn bytes(elements: &Elements) -> Vec<u8> {
    match elements {
        Elements::I8(elements) => elements.iter().map(|&x| x as u8).collect(),
        Elements::U8(elements) => elements.clone(),
        Elements::I32(elements) => elements.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Elements::F32(elements) => elements.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn describe(graph: &Graph, id: TensorId) -> String {
    let tensor = &graph[id];
    let constant = if tensor.data.is_some() { " constant" } else { "" };
    format!("{:?}{constant} {:?}", tensor.shape, tensor.per_tensor())
}

fn values(elements: &Elements) -> Vec<f32> {
    match elements {
        Elements::I8(elements) => elements.iter().map(|&x| f32::from(x)).collect(),
        Elements::U8(elements) => elements.iter().map(|&x| f32::from(x)).collect(),
        Elements::F32(elements) => elements.clone(),
        Elements::I32(elements) => elements.iter().map(|&x| x as f32).collect(),
    }
}

/// A number that the environment may change.
#[allow(dead_code)] // Not every test binary has one.
pub fn number_from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}
