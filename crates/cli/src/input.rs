//! NumPy arrays as inputs of a model.

use crate::{files, UsageError};
use anyhow::Context;
use frugal_graph::npy::{self, Array, Elements};
use frugal_graph::{DataType, Graph, Tensor};
use std::path::PathBuf;

/// Why an array is no input of the model.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    #[error("shape {found}; input '{tensor}' of the model takes {wanted}{}", if *batch { ", or any number of images in place of the 1" } else { "" })]
    Shape { tensor: String, found: String, wanted: String, batch: bool },
    #[error("elements are {found}; input '{tensor}' of the model takes {takes}. {advice}")]
    ElementType { tensor: String, found: &'static str, takes: &'static str, advice: &'static str },
    #[error("shape {0}: it holds no elements")]
    Empty(String),
    #[error(
        "float32 elements, and input '{tensor}' of the model has no scale to quantise them with. Pass int8"
    )]
    NoScale { tensor: String },
    #[error("element {index} is {value}; only finite numbers can be taken")]
    NotFinite { index: usize, value: f32 },
}

/// A shape as NumPy prints it.
pub fn show_shape(shape: &[usize]) -> String {
    match shape {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The images of an array, as elements of the type that the input `tensor` of a model has.
///
/// An array of the tensor's own shape is one image. Where the tensor's first dimension is 1, the array may lack it, or have any
/// other number of images in it.
pub fn images(array: &Array, tensor: &Tensor) -> Result<Vec<Elements>, InputError> {
    let name = || tensor.name.clone();
    let (found, wanted) = (array.shape.as_slice(), tensor.shape.as_slice());
    let is_one = found == wanted || wanted.split_first() == Some((&1, found));
    let is_batch = match (found.split_first(), wanted.split_first()) {
        (Some((_, found)), Some((1, wanted))) => found == wanted,
        _ => false,
    };
    if !is_one && !is_batch {
        let batch = wanted.len() > 1 && wanted[0] == 1;
        return Err(InputError::Shape {
            tensor: name(),
            found: show_shape(found),
            wanted: show_shape(wanted),
            batch,
        });
    }
    if array.data.is_empty() {
        return Err(InputError::Empty(show_shape(found)));
    }
    Ok(convert(&array.data, tensor)?.chunks(tensor.element_count()))
}

/// The inputs of each image, from one file an input.
pub fn read_batch(paths: &[PathBuf], graph: &Graph) -> anyhow::Result<Vec<Vec<Elements>>> {
    let (given, needed) = (paths.len(), graph.inputs.len());
    if given != needed {
        let inputs: Vec<String> = graph
            .inputs
            .iter()
            .map(|id| &graph[*id])
            .map(|tensor| {
                format!("{}: {}, shape {}", tensor.name, tensor.data_type, show_shape(&tensor.shape))
            })
            .collect();
        let message = format!(
            "the model has {needed} inputs ({}), --input was given {given} times. Give one file for each, in this order",
            inputs.join("; ")
        );
        return Err(UsageError(message).into());
    }
    let mut batch: Vec<Vec<Elements>> = Vec::new();
    for (number, (path, id)) in paths.iter().zip(&graph.inputs).enumerate() {
        let array = npy::read(&files::read(path)?).with_context(|| files::show(path))?;
        let images = images(&array, &graph[*id]).with_context(|| files::show(path))?;
        if number == 0 {
            batch.resize(images.len(), Vec::new());
        } else if images.len() != batch.len() {
            let before = paths[0].display();
            let message =
                format!("{} holds {} images, {before} {}", path.display(), images.len(), batch.len());
            return Err(UsageError(message).into());
        }
        for (inputs, image) in batch.iter_mut().zip(images) {
            inputs.push(image);
        }
    }
    Ok(batch)
}

/// The elements of the input's own type. Only for an int8 input there is a choice: the others come before the model's own
/// QUANTIZE, which says what numbers they are.
fn convert(data: &Elements, tensor: &Tensor) -> Result<Elements, InputError> {
    let refuse = |takes, advice| {
        let (tensor, found) = (tensor.name.clone(), data.type_name());
        Err(InputError::ElementType { tensor, found, takes, advice })
    };
    match (tensor.data_type, data) {
        (DataType::F32, Elements::F32(elements)) => {
            check_finite(elements)?;
            Ok(data.clone())
        }
        (DataType::F32, _) => refuse(
            "float32",
            "Pass the real numbers that the model was trained with, array.astype('float32')",
        ),
        (DataType::U8, Elements::U8(_)) => Ok(data.clone()),
        (DataType::U8, _) => refuse("uint8", "Pass numbers from 0 to 255, array.astype('uint8')"),
        (_, Elements::I8(_)) => Ok(data.clone()),
        // q + 128 with zero point + 128 stands for the same real number.
        (_, Elements::U8(elements)) => {
            Ok(Elements::I8(elements.iter().map(|x| (i16::from(*x) - 128) as i8).collect()))
        }
        (_, Elements::I32(_)) => refuse("int8, uint8 or float32", "Convert with array.astype('int8')"),
        (_, Elements::F32(elements)) => {
            let no_scale = || InputError::NoScale { tensor: tensor.name.clone() };
            let (scale, zero_point) = tensor.per_tensor().ok_or_else(no_scale)?;
            check_finite(elements)?;
            // The division in float32 and half away from zero, as TensorFlow Lite's QUANTIZE does it.
            let steps = |value: &f32| (value / scale).round() + zero_point as f32;
            Ok(Elements::I8(elements.iter().map(|value| steps(value).clamp(-128.0, 127.0) as i8).collect()))
        }
    }
}

fn check_finite(elements: &[f32]) -> Result<(), InputError> {
    match elements.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(InputError::NotFinite { index, value: elements[index] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_graph::Quantisation;

    fn tensor(shape: &[usize]) -> Tensor {
        Tensor {
            name: "x".into(),
            shape: shape.to_vec(),
            data_type: DataType::I8,
            quantisation: Some(Quantisation::PerTensor { scale: 0.5, zero_point: -2 }),
            data: None,
        }
    }

    fn array(shape: &[usize]) -> Array {
        let count = shape.iter().product();
        Array { shape: shape.to_vec(), data: Elements::I8(vec![1; count]) }
    }

    #[test]
    fn one_image_or_many() {
        let input = tensor(&[1, 2, 3]);
        for (shape, count) in [(&[1, 2, 3][..], 1), (&[2, 3], 1), (&[5, 2, 3], 5)] {
            assert_eq!(
                images(&array(shape), &input).unwrap(),
                vec![Elements::I8(vec![1; 6]); count],
                "{shape:?}"
            );
        }
        assert_eq!(images(&array(&[4, 2]), &tensor(&[4, 2])).unwrap(), vec![Elements::I8(vec![1; 8])]);
        for shape in [&[1, 3, 2][..], &[1, 1, 2, 3], &[6], &[]] {
            assert!(matches!(images(&array(shape), &input), Err(InputError::Shape { .. })), "{shape:?}");
        }
        assert!(matches!(images(&array(&[8, 2]), &tensor(&[4, 2])), Err(InputError::Shape { .. })));
        assert_eq!(images(&array(&[0, 2, 3]), &input), Err(InputError::Empty("(0, 2, 3)".into())));
    }

    #[test]
    fn every_element_type() {
        let input = tensor(&[1, 4]);
        let read =
            |data| images(&Array { shape: vec![1, 4], data }, &input).map(|mut images| images.remove(0));
        let int8 = |elements: [i8; 4]| Ok(Elements::I8(elements.to_vec()));
        assert_eq!(read(Elements::U8(vec![0, 127, 128, 255])), int8([-128, -1, 0, 127]));
        assert_eq!(read(Elements::F32(vec![0.0, 0.25, -1.25, 1e9])), int8([-2, -1, -5, 127]));
        let infinite = read(Elements::F32(vec![0.0, f32::INFINITY, 0.0, 0.0]));
        assert_eq!(infinite, Err(InputError::NotFinite { index: 1, value: f32::INFINITY }));
        assert!(matches!(read(Elements::I32(vec![0; 4])), Err(InputError::ElementType { .. })));
    }

    #[test]
    fn inputs_before_a_quantize_take_their_own_type_alone() {
        let each = [
            Elements::I8(vec![1; 4]),
            Elements::U8(vec![1; 4]),
            Elements::I32(vec![1; 4]),
            Elements::F32(vec![1.5; 4]),
        ];
        for (data_type, takes) in [(DataType::F32, "float32"), (DataType::U8, "uint8")] {
            let input = Tensor { data_type, quantisation: None, ..tensor(&[1, 2]) };
            for data in &each {
                let read = images(&Array { shape: vec![2, 2], data: data.clone() }, &input);
                match read {
                    Ok(images) => {
                        assert_eq!(data.type_name(), takes);
                        assert_eq!(images, data.chunks(2));
                    }
                    Err(error) => {
                        assert_ne!(data.type_name(), takes);
                        let advice = format!("astype('{takes}')");
                        assert!(error.to_string().contains(&advice), "{error}");
                    }
                }
            }
            let infinite = Array { shape: vec![2], data: Elements::F32(vec![0.0, f32::NAN]) };
            assert!(images(&infinite, &input).is_err());
        }
    }
}
