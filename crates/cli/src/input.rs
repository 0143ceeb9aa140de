//! NumPy arrays as inputs of a model.

use crate::{files, UsageError};
use anyhow::Context;
use frugal_graph::npy::{self, Array, Elements};
use frugal_graph::{Graph, Tensor};
use std::path::PathBuf;

/// Why an array is no input of the model.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum InputError {
    #[error("shape {found}; input '{tensor}' of the model takes {wanted}{}", if *batch { ", or any number of images in place of the 1" } else { "" })]
    Shape { tensor: String, found: String, wanted: String, batch: bool },
    #[error("elements are int32; input '{tensor}' takes int8, uint8 or float32. Convert with array.astype('int8')")]
    ElementType { tensor: String },
    #[error("shape {0}: it holds no elements")]
    Empty(String),
    #[error(
        "float32 elements, and input '{tensor}' of the model has no scale to quantise them with. Pass int8"
    )]
    NoScale { tensor: String },
    #[error("element {index} is {value}; only finite numbers can be quantised")]
    NotFinite { index: usize, value: f32 },
}

/// A shape as NumPy prints it.
pub fn show_shape(shape: &[usize]) -> String {
    match shape {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The images of an array, quantised as the input `tensor` of a model is.
///
/// An array of the tensor's own shape is one image. Where the tensor's first dimension is 1, the array may lack it, or have any
/// other number of images in it.
pub fn images(array: &Array, tensor: &Tensor) -> Result<Vec<Vec<i8>>, InputError> {
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
    let elements = quantise(&array.data, tensor)?;
    Ok(elements.chunks_exact(tensor.element_count()).map(<[i8]>::to_vec).collect())
}

/// The bytes of each input of each image, from one file an input.
pub fn read_batch(paths: &[PathBuf], graph: &Graph) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    let (given, needed) = (paths.len(), graph.inputs.len());
    if given != needed {
        let names: Vec<&str> = graph.inputs.iter().map(|id| graph[*id].name.as_str()).collect();
        let message =
            format!("the model has {needed} inputs ({}), --input was given {given} times", names.join(", "));
        return Err(UsageError(message).into());
    }
    let mut batch: Vec<Vec<Vec<u8>>> = Vec::new();
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
            inputs.push(image.iter().map(|x| *x as u8).collect());
        }
    }
    Ok(batch)
}

fn quantise(data: &Elements, tensor: &Tensor) -> Result<Vec<i8>, InputError> {
    let name = || tensor.name.clone();
    match data {
        Elements::I8(elements) => Ok(elements.clone()),
        // q + 128 with zero point + 128 stands for the same real number.
        Elements::U8(elements) => Ok(elements.iter().map(|x| (i16::from(*x) - 128) as i8).collect()),
        Elements::F32(elements) => {
            let (scale, zero_point) =
                tensor.per_tensor().ok_or_else(|| InputError::NoScale { tensor: name() })?;
            let quantise = |(index, &value): (usize, &f32)| {
                if !value.is_finite() {
                    return Err(InputError::NotFinite { index, value });
                }
                // The division in float32 and half away from zero, as TensorFlow Lite's QUANTIZE does it.
                let steps = (value / scale).round() + zero_point as f32;
                Ok(steps.clamp(-128.0, 127.0) as i8)
            };
            elements.iter().enumerate().map(quantise).collect()
        }
        Elements::I32(_) => Err(InputError::ElementType { tensor: name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frugal_graph::{DataType, Quantisation};

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
            assert_eq!(images(&array(shape), &input).unwrap(), vec![vec![1; 6]; count], "{shape:?}");
        }
        assert_eq!(images(&array(&[4, 2]), &tensor(&[4, 2])).unwrap(), vec![vec![1; 8]]);
        for shape in [&[1, 3, 2][..], &[1, 1, 2, 3], &[6], &[]] {
            assert!(matches!(images(&array(shape), &input), Err(InputError::Shape { .. })), "{shape:?}");
        }
        assert!(matches!(images(&array(&[8, 2]), &tensor(&[4, 2])), Err(InputError::Shape { .. })));
        assert_eq!(images(&array(&[0, 2, 3]), &input), Err(InputError::Empty("(0, 2, 3)".into())));
    }

    #[test]
    fn every_element_type() {
        let input = tensor(&[1, 4]);
        let read = |data| images(&Array { shape: vec![1, 4], data }, &input).map(|images| images.concat());
        assert_eq!(read(Elements::U8(vec![0, 127, 128, 255])), Ok(vec![-128, -1, 0, 127]));
        assert_eq!(read(Elements::F32(vec![0.0, 0.25, -1.25, 1e9])), Ok(vec![-2, -1, -5, 127]));
        let infinite = read(Elements::F32(vec![0.0, f32::INFINITY, 0.0, 0.0]));
        assert_eq!(infinite, Err(InputError::NotFinite { index: 1, value: f32::INFINITY }));
        assert!(matches!(read(Elements::I32(vec![0; 4])), Err(InputError::ElementType { .. })));
    }
}
