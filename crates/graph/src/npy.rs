//! NumPy's `.npy` format: arrays of int8, uint8, int32 and float32 in C order.
//!
//! Written here rather than taken from a crate: the four element types need a hundred lines, and the crates that read the
//! format bring an array library or a parser generator with them.

use thiserror::Error;

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes from the outermost to the innermost dimension; empty for a single number.
    pub shape: Vec<usize>,
    pub data: Elements,
}

/// The elements of an array, as many as the product of its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I32(Vec<i32>),
    F32(Vec<f32>),
}

/// Why bytes are not an array that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NpyError {
    #[error("not a .npy file: it does not start with \\x93NUMPY. Write it with numpy.save")]
    NotNpy,
    #[error(".npy version {0}; 1 to 3 are known")]
    Version(u8),
    #[error("the .npy header is damaged: {0}. Write the file again with numpy.save")]
    Header(&'static str),
    #[error(
        "element type {0:?}; int8, uint8, int32 and float32 are supported. Convert with array.astype('int8')"
    )]
    ElementType(String),
    #[error("element type {0:?} holds no token ids; save integers, array.astype('int32')")]
    IdType(String),
    #[error("element {index} is {value}; token ids are 0 to 4294967295")]
    Id { index: usize, value: i128 },
    #[error("Fortran order; save numpy.ascontiguousarray(array)")]
    FortranOrder,
    #[error("the array is cut short or too long: {needed} bytes of elements needed, {found} found")]
    Length { needed: usize, found: usize },
    #[error("damaged .npz archive: {0}. Write the file again with numpy.savez")]
    Archive(String),
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header ends on a multiple of this, so that the elements are aligned.
const ALIGNMENT: usize = 64;

impl Elements {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Elements::I8(elements) => elements.len(),
            Elements::U8(elements) => elements.len(),
            Elements::I32(elements) => elements.len(),
            Elements::F32(elements) => elements.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element type as NumPy writes it.
    #[must_use]
    pub fn descr(&self) -> &'static str {
        match self {
            Elements::I8(_) => "|i1",
            Elements::U8(_) => "|u1",
            Elements::I32(_) => "<i4",
            Elements::F32(_) => "<f4",
        }
    }

    /// The element type as NumPy calls it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Elements::I8(_) => "int8",
            Elements::U8(_) => "uint8",
            Elements::I32(_) => "int32",
            Elements::F32(_) => "float32",
        }
    }

    /// Runs of `count` elements, in order; what is left at the end is left out.
    ///
    /// # Panics
    /// When `count` is zero.
    #[must_use]
    pub fn chunks(&self, count: usize) -> Vec<Elements> {
        fn cut<T: Clone>(elements: &[T], count: usize, wrap: impl Fn(Vec<T>) -> Elements) -> Vec<Elements> {
            elements.chunks_exact(count).map(|chunk| wrap(chunk.to_vec())).collect()
        }
        match self {
            Elements::I8(elements) => cut(elements, count, Elements::I8),
            Elements::U8(elements) => cut(elements, count, Elements::U8),
            Elements::I32(elements) => cut(elements, count, Elements::I32),
            Elements::F32(elements) => cut(elements, count, Elements::F32),
        }
    }

    /// Adds the elements of `more` at the end; nothing, and `false`, when they are of another type.
    #[must_use]
    pub fn append(&mut self, more: &Elements) -> bool {
        match (self, more) {
            (Elements::I8(elements), Elements::I8(more)) => elements.extend(more),
            (Elements::U8(elements), Elements::U8(more)) => elements.extend(more),
            (Elements::I32(elements), Elements::I32(more)) => elements.extend(more),
            (Elements::F32(elements), Elements::F32(more)) => elements.extend(more),
            _ => return false,
        }
        true
    }

    /// The elements as real numbers, each exactly.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Elements::I8(elements) => elements.iter().copied().map(f64::from).collect(),
            Elements::U8(elements) => elements.iter().copied().map(f64::from).collect(),
            Elements::I32(elements) => elements.iter().copied().map(f64::from).collect(),
            Elements::F32(elements) => elements.iter().copied().map(f64::from).collect(),
        }
    }

    /// The elements, if they are int8.
    #[must_use]
    pub fn as_i8(&self) -> Option<&[i8]> {
        match self {
            Elements::I8(elements) => Some(elements),
            _ => None,
        }
    }
}

/// Reads the bytes of a `.npy` file.
///
/// # Errors
/// For bytes that are no such file, other element types, Fortran order, and a length that does not fit the shape.
pub fn read(bytes: &[u8]) -> Result<Array, NpyError> {
    let (header, elements) = open(bytes)?;
    let words = || elements.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
    let data = match header.descr.as_str() {
        "|i1" | "<i1" => {
            header.check(elements, 1)?;
            Elements::I8(elements.iter().map(|&byte| byte as i8).collect())
        }
        "|u1" | "<u1" => {
            header.check(elements, 1)?;
            Elements::U8(elements.to_vec())
        }
        "<i4" => {
            header.check(elements, 4)?;
            Elements::I32(words().map(i32::from_le_bytes).collect())
        }
        "<f4" => {
            header.check(elements, 4)?;
            Elements::F32(words().map(f32::from_le_bytes).collect())
        }
        _ => return Err(NpyError::ElementType(header.descr)),
    };
    Ok(Array { shape: header.shape, data })
}

/// Token ids: the elements of an array of unsigned or signed integers of any length, none of them negative, in C order.
///
/// # Errors
/// As [`read`], and for the first element that is no id.
pub fn read_ids(bytes: &[u8]) -> Result<Vec<u32>, NpyError> {
    let (header, elements) = open(bytes)?;
    let (bytes, signed) = match header.descr.as_str() {
        "|u1" | "<u1" => (1, false),
        "|i1" | "<i1" => (1, true),
        "<u2" => (2, false),
        "<i2" => (2, true),
        "<u4" => (4, false),
        "<i4" => (4, true),
        "<u8" => (8, false),
        "<i8" => (8, true),
        _ => return Err(NpyError::IdType(header.descr)),
    };
    header.check(elements, bytes)?;
    let id = |(index, element): (usize, &[u8])| {
        let negative = signed && element[bytes - 1] & 0x80 != 0;
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes].copy_from_slice(element);
        let value = if signed { i64::from_le_bytes(wide).into() } else { u64::from_le_bytes(wide).into() };
        u32::try_from(value).map_err(|_: std::num::TryFromIntError| NpyError::Id { index, value })
    };
    elements.chunks_exact(bytes).enumerate().map(id).collect()
}

/// The header, and the bytes of the elements.
fn open(bytes: &[u8]) -> Result<(Header, &[u8]), NpyError> {
    if !bytes.starts_with(MAGIC) {
        return Err(NpyError::NotNpy);
    }
    let version = *bytes.get(6).ok_or(NpyError::Header("no version"))?;
    let (length, start) = match version {
        1 => {
            let field = bytes.get(8..10).ok_or(NpyError::Header("no length"))?;
            (usize::from(u16::from_le_bytes([field[0], field[1]])), 10)
        }
        2 | 3 => {
            let field = bytes.get(8..12).ok_or(NpyError::Header("no length"))?;
            (u32::from_le_bytes([field[0], field[1], field[2], field[3]]) as usize, 12)
        }
        other => return Err(NpyError::Version(other)),
    };
    let (header, elements) = bytes[start..].split_at_checked(length).ok_or(NpyError::Header("cut short"))?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header("not text"))?;
    let header = Header::parse(header)?;
    if header.fortran_order && header.shape.len() > 1 {
        return Err(NpyError::FortranOrder);
    }
    Ok((header, elements))
}

/// The bytes of a `.npy` file, version 1.
///
/// # Panics
/// When the number of elements is not the product of the sizes, or the shape has thousands of dimensions.
#[must_use]
pub fn write(array: &Array) -> Vec<u8> {
    assert_eq!(
        array.data.len(),
        array.shape.iter().product::<usize>(),
        "elements of an array of {:?}",
        array.shape
    );
    let shape = match array.shape.as_slice() {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let mut header =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", array.data.descr());
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(ALIGNMENT) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a header of a few hundred bytes");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    match &array.data {
        Elements::I8(elements) => bytes.extend(elements.iter().map(|&x| x as u8)),
        Elements::U8(elements) => bytes.extend(elements),
        Elements::I32(elements) => bytes.extend(elements.iter().flat_map(|x| x.to_le_bytes())),
        Elements::F32(elements) => bytes.extend(elements.iter().flat_map(|x| x.to_le_bytes())),
    }
    bytes
}

/// The header's dictionary, a Python literal.
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// As many bytes as the shape needs.
    fn check(&self, elements: &[u8], element_bytes: usize) -> Result<(), NpyError> {
        let sizes = self.shape.iter().chain([&element_bytes]);
        let needed = sizes.copied().try_fold(1usize, usize::checked_mul);
        let needed = needed.ok_or(NpyError::Header("the shape overflows"))?;
        if elements.len() == needed {
            Ok(())
        } else {
            Err(NpyError::Length { needed, found: elements.len() })
        }
    }

    fn parse(text: &str) -> Result<Header, NpyError> {
        let body = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let mut rest = body.ok_or(NpyError::Header("no dictionary"))?.trim_start();
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or(NpyError::Header("a key is not quoted"))?;
            let after =
                after.trim_start().strip_prefix(':').ok_or(NpyError::Header("no colon after a key"))?;
            let value = after.trim_start();
            rest = match key {
                "descr" => match quoted(value) {
                    Some((text, after)) => {
                        descr = Some(text.to_string());
                        after
                    }
                    None => return Err(NpyError::ElementType("structured".to_string())),
                },
                "fortran_order" => match (value.strip_prefix("False"), value.strip_prefix("True")) {
                    (Some(after), _) => {
                        fortran_order = Some(false);
                        after
                    }
                    (_, Some(after)) => {
                        fortran_order = Some(true);
                        after
                    }
                    _ => return Err(NpyError::Header("fortran_order is neither True nor False")),
                },
                "shape" => {
                    let tuple = value.strip_prefix('(').and_then(|text| text.split_once(')'));
                    let (sizes, after) = tuple.ok_or(NpyError::Header("the shape is not a tuple"))?;
                    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
                    let sizes = sizes.map(str::parse).collect::<Result<Vec<usize>, _>>();
                    shape = Some(sizes.map_err(|_| NpyError::Header("a size is not a number"))?);
                    after
                }
                _ => return Err(NpyError::Header("an unknown key")),
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(fortran_order), Some(shape)) => Ok(Header { descr, fortran_order, shape }),
            _ => Err(NpyError::Header("descr, fortran_order or shape is missing")),
        }
    }
}

/// A quoted string at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A version 1 file around a header and elements, without padding.
    fn file(header: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn writes_what_numpy_writes() {
        let bytes = write(&Array { shape: vec![2], data: Elements::I8(vec![-1, 2]) });
        let text = "{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }";
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        expected.extend(format!("{text:<117}\n").as_bytes());
        expected.extend([0xff, 2]);
        assert_eq!(bytes, expected);
        assert_eq!(bytes.len(), 128 + 2);
    }

    #[test]
    fn reads_versions_and_spellings() {
        let array = read(&file(
            "{\"shape\":(1, 2),\"descr\":\"<i4\",\"fortran_order\":False}",
            &[1, 0, 0, 0, 255, 255, 255, 255],
        ));
        assert_eq!(array, Ok(Array { shape: vec![1, 2], data: Elements::I32(vec![1, -1]) }));
        let scalar = read(&file("{'descr': '|u1', 'fortran_order': True, 'shape': (), }\n", &[7]));
        assert_eq!(scalar, Ok(Array { shape: vec![], data: Elements::U8(vec![7]) }));
        let header = b"{'descr': '|i1', 'fortran_order': False, 'shape': (0,), }";
        let mut second = b"\x93NUMPY\x02\x00".to_vec();
        second.extend((header.len() as u32).to_le_bytes());
        second.extend(header);
        assert_eq!(read(&second), Ok(Array { shape: vec![0], data: Elements::I8(vec![]) }));
    }

    #[test]
    fn ids_are_integers_of_any_length() {
        let ids = |descr: &str, elements: &[u8], count: usize| {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},), }}");
            read_ids(&file(&header, elements))
        };
        assert_eq!(ids("<u2", &[1, 0, 255, 255], 2), Ok(vec![1, 65535]));
        assert_eq!(ids("|u1", &[1, 255], 2), Ok(vec![1, 255]));
        assert_eq!(ids("<i4", &[2, 1, 0, 0], 1), Ok(vec![258]));
        assert_eq!(ids("<u4", &[255; 4], 1), Ok(vec![u32::MAX]));
        assert_eq!(ids("<i8", &[7, 0, 0, 0, 0, 0, 0, 0], 1), Ok(vec![7]));
        assert_eq!(ids("<u8", &[255; 8], 1), Err(NpyError::Id { index: 0, value: u64::MAX.into() }));
        assert_eq!(ids("<i2", &[0, 0, 254, 255], 2), Err(NpyError::Id { index: 1, value: -2 }));
        let wide = [0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(ids("<i8", &wide, 1), Err(NpyError::Id { index: 0, value: 1 << 32 }));
        assert_eq!(ids("<f4", &[0; 4], 1), Err(NpyError::IdType("<f4".to_owned())));
        assert_eq!(ids("<i8", &[0; 4], 1), Err(NpyError::Length { needed: 8, found: 4 }));
    }

    #[test]
    fn damaged_files_are_errors() {
        let with_shape =
            |shape: &str| format!("{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}");
        assert_eq!(read(b""), Err(NpyError::NotNpy));
        assert_eq!(read(b"\x93NUMPY"), Err(NpyError::Header("no version")));
        assert_eq!(read(b"\x93NUMPY\x09\x00"), Err(NpyError::Version(9)));
        assert_eq!(read(b"\x93NUMPY\x01\x00\xff\x00{}"), Err(NpyError::Header("cut short")));
        assert_eq!(read(&file(&with_shape("(3,)"), &[1, 2])), Err(NpyError::Length { needed: 3, found: 2 }));
        assert_eq!(read(&file(&with_shape("(-1,)"), &[])), Err(NpyError::Header("a size is not a number")));
        let huge = with_shape("(4294967296, 4294967296)");
        assert_eq!(read(&file(&huge, &[])), Err(NpyError::Header("the shape overflows")));
        let fortran = "{'descr': '|i1', 'fortran_order': True, 'shape': (2, 2), }";
        assert_eq!(read(&file(fortran, &[0; 4])), Err(NpyError::FortranOrder));
        let wide = "{'descr': '<f8', 'fortran_order': False, 'shape': (), }";
        assert_eq!(read(&file(wide, &[0; 8])), Err(NpyError::ElementType("<f8".to_string())));
        let big_endian = "{'descr': '>i4', 'fortran_order': False, 'shape': (), }";
        assert_eq!(read(&file(big_endian, &[0; 4])), Err(NpyError::ElementType(">i4".to_string())));
    }

    #[test]
    fn arrays_are_cut_and_joined() {
        let whole = Elements::F32(vec![1.0, 2.0, 3.0, 4.0]);
        let mut parts = whole.chunks(2);
        assert_eq!(parts, [Elements::F32(vec![1.0, 2.0]), Elements::F32(vec![3.0, 4.0])]);
        let last = parts.remove(1);
        assert!(parts[0].append(&last));
        assert_eq!(parts[0], whole);
        assert!(!parts[0].append(&Elements::U8(vec![5])));
        assert_eq!(parts[0], whole);
        assert_eq!(Elements::U8(vec![255]).to_f64(), [255.0]);
        assert_eq!(Elements::I32(vec![-7]).to_f64(), [-7.0]);
    }

    fn any_array() -> impl Strategy<Value = Array> {
        proptest::collection::vec(0usize..5, 0..4).prop_flat_map(|shape| {
            let count = shape.iter().product::<usize>();
            let data = prop_oneof![
                proptest::collection::vec(any::<i8>(), count).prop_map(Elements::I8),
                proptest::collection::vec(any::<u8>(), count).prop_map(Elements::U8),
                proptest::collection::vec(any::<i32>(), count).prop_map(Elements::I32),
                proptest::collection::vec(-1e9f32..1e9, count).prop_map(Elements::F32),
            ];
            data.prop_map(move |data| Array { shape: shape.clone(), data })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(array in any_array()) {
            let bytes = write(&array);
            prop_assert_eq!(read(&bytes), Ok(array));
        }

        #[test]
        fn no_bytes_panic(array in any_array(), position: proptest::sample::Index, byte: u8, cut: proptest::sample::Index) {
            let mut bytes = write(&array);
            let position = position.index(bytes.len());
            bytes[position] = byte;
            let _ = read(&bytes);
            let _ = read(&bytes[..cut.index(bytes.len())]);
        }
    }
}
