//! Shapes, and where the elements of tensors of different shapes meet.

/// The shape of an elementwise result: the operands' sizes from the innermost dimension on, where a size of one, or a
/// dimension that is not there, goes with any size. `None` when two sizes do not go together.
#[must_use]
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], dimension: usize| {
        (dimension + shape.len()).checked_sub(rank).map_or(1, |dimension| shape[dimension])
    };
    (0..rank)
        .map(|dimension| match (size(a, dimension), size(b, dimension)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// For each element of a tensor of shape `output`, in order, the element of an operand of shape `operand` that is
/// [`broadcast`] to it.
pub(crate) fn broadcast_elements(operand: &[usize], output: &[usize]) -> impl Iterator<Item = usize> {
    let missing = output.len() - operand.len();
    let mut steps = vec![0; output.len()];
    for (dimension, (&size, step)) in operand.iter().zip(strides(operand)).enumerate() {
        steps[missing + dimension] = if size == 1 { 0 } else { step };
    }
    elements(output, steps)
}

/// For each element of a tensor of shape `shape`, in order, the sum of its coordinates times `steps`.
pub(crate) fn elements(shape: &[usize], steps: Vec<usize>) -> impl Iterator<Item = usize> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut index| {
        let mut element = 0;
        for (size, step) in shape.iter().zip(&steps).rev() {
            element += index % size * step;
            index /= size;
        }
        element
    })
}

/// The distance between neighbours along each dimension.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension] * shape[dimension];
    }
    strides
}

/// A dimension of a tensor of `rank` dimensions from a number that may count from the end.
pub(crate) fn axis(number: i32, rank: usize) -> Option<usize> {
    let rank = i32::try_from(rank).ok()?;
    let axis = if number < 0 { number.checked_add(rank)? } else { number };
    (0..rank).contains(&axis).then_some(axis as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_is_numpys() {
        assert_eq!(broadcast(&[2, 3], &[2, 3]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[2, 3], &[3]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[], &[2, 3]), Some(vec![2, 3]));
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[2, 3], &[2]), None);
    }

    #[test]
    fn broadcast_operands_repeat_their_elements() {
        let of = |operand: &[usize]| broadcast_elements(operand, &[2, 2, 3]).collect::<Vec<_>>();
        assert_eq!(of(&[2, 2, 3]), (0..12).collect::<Vec<_>>());
        assert_eq!(of(&[3]), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(of(&[2, 1, 3]), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        assert_eq!(of(&[2, 1]), [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]);
        assert_eq!(of(&[]), [0; 12]);
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!([axis(0, 3), axis(2, 3), axis(-1, 3), axis(-3, 3)].map(Option::unwrap), [0, 2, 2, 0]);
        assert_eq!([axis(3, 3), axis(-4, 3), axis(0, 0), axis(i32::MIN, 3)], [None; 4]);
    }
}
