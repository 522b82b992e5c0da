//! Takes the texts of panics out of the module, and with them all that would print them.
//!
//! A panic ends the module at once (`panic = "abort"`), and nobody ever sees its text: a browser has no standard error.
//! Rust formats it all the same, and only a nightly compiler can be told not to. So the functions that begin a panic, of
//! which none returns, trap here without a word; wasm-opt then drops what nobody calls any more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use wasm_encoder::{CodeSection, Function, Instruction, Module, RawSection};
use wasmparser::{
    DataKind, ElementItems, ExternalKind, KnownCustom, Name, Operator, Parser, Payload,
};

use crate::workspace::Result;

/// Without this one something else became of the names, and nothing would be gained.
const FIRST: &str = "core::panicking::panic_fmt";

/// Functions of the standard library that never return (`-> !`), by their paths.
const NEVER_RETURN: &[&str] = &[
    FIRST,
    "core::panicking::panic",
    "core::panicking::panic_bounds_check",
    "core::panicking::assert_failed_inner",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_already_borrowed",
    "core::cell::panic_already_mutably_borrowed",
    "core::slice::index::slice_index_fail",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::str::slice_error_fail_rt",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "alloc::alloc::handle_alloc_error",
];

/// What is said by panics of the standard library and of gloo, as far as it is more than a few letters. A compiler that
/// words it in another way costs some bytes, and nothing else.
const TEXTS: &[&str] = &[
    "slice index starts at ",
    " but ends at ",
    "range start index ",
    "range end index ",
    " out of range for slice of length ",
    "copy_from_slice: source slice length (",
    ") does not match destination slice length (",
    "assertion `left ",
    " right` failed",
    "capacity overflow",
    "attempt to divide by zero",
    "mid > len",
    "attempt to join into collection with len > usize::MAX",
    "Tried to shrink to a larger capacity",
    "RefCell already borrowed",
    "RefCell already mutably borrowed",
    "LazyCell instance has previously been poisoned",
    "`async fn` resumed after completion",
    "internal error: entered unreachable code",
    "fetch returned ",
    ", not `Response` - this is a bug",
    // What numbers are written with.
    concat!(
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748",
        "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697",
        "9899",
    ),
];

/// All formatting goes through this one.
const FORMATTER: &str = "core::fmt::write";

/// The module with panics that only trap. It must have its names.
pub(crate) fn without_texts(wasm: &[u8]) -> Result<Vec<u8>> {
    let names = names(wasm)?;
    let of = |paths: &dyn Fn(&str) -> bool| -> BTreeSet<u32> {
        let named = names.iter().filter(|(_, path)| paths(path));
        named.map(|(index, _)| *index).collect()
    };
    if of(&|path| path == FIRST).is_empty() {
        return Err(format!("the module has no function {FIRST}").into());
    }
    let beginning = of(&|path| NEVER_RETURN.contains(&path));
    let mut silent = with_traps(wasm, &beginning)?;
    // Tables of functions keep what formats a value, even if nothing formats any more.
    let formatter = of(&|path| path == FORMATTER);
    let formatting = of(&|path| path.contains("core::fmt::"));
    if !is_called(&silent, &formatter, &formatting)? {
        silent = with_traps(&silent, &formatting)?;
        clear_places(&mut silent)?;
        clear_texts(&mut silent)?;
    }
    Ok(silent)
}

/// Why a function that never returns would be called, and how to know those functions: what their path holds. The first that
/// fits counts.
const KINDS: [(&str, &[&str]); 8] = [
    (
        "a place outside of a list or text",
        &["bounds_check", "slice_index", "slice_error", "len_mismatch"],
    ),
    (
        "a value that is not there",
        &["unwrap_failed", "expect_failed"],
    ),
    (
        "a cell that is borrowed",
        &["already_borrowed", "already_mutably_borrowed"],
    ),
    (
        "no memory left",
        &[
            "capacity_overflow",
            "handle_error",
            "handle_alloc_error",
            "rust_oom",
            "alloc_error",
        ],
    ),
    (
        "a future that has ended",
        &["async_fn_resumed", "async_gen_fn"],
    ),
    (
        "a number that can't be",
        &["panic_const_div", "panic_const_rem", "overflow"],
    ),
    (
        "what JavaScript threw",
        &[
            "throw_str",
            "throw_val",
            "wbindgen_throw",
            "wbindgen_rethrow",
        ],
    ),
    (
        "an assertion",
        &[
            "core::panicking::",
            "std::panicking::",
            "rust_panic",
            "begin_panic",
        ],
    ),
];

/// The calls that begin a panic, as far as they are left in a module that has its names: by whom, and of what kind.
pub(crate) struct Paths(Vec<(String, &'static str)>);

impl Paths {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many there are of each kind.
    pub(crate) fn kinds(&self) -> String {
        let count = |kind: &str| self.0.iter().filter(|(_, of)| *of == kind).count();
        let kinds = KINDS.iter().map(|(kind, _)| (count(kind), kind));
        let said: Vec<String> = kinds
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} × {kind}"))
            .collect();
        said.join(", ")
    }

    /// Each of them, for who wants to know whether it can be reached.
    pub(crate) fn list(&self) -> String {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .map(|(by, kind)| format!("{kind}: {by}\n"))
            .collect();
        lines.sort();
        lines.concat()
    }
}

/// Finds the calls that begin a panic, in functions that anybody calls: from outside, by way of a table, or each other.
pub(crate) fn paths(wasm: &[u8]) -> Result<Paths> {
    let names: BTreeMap<u32, String> = names(wasm)?.into_iter().collect();
    let kind_of = |index: u32| {
        let path = names.get(&index)?;
        let is = |parts: &[&str]| parts.iter().any(|part| path.contains(part));
        let kind = KINDS.iter().find(|(_, parts)| is(parts));
        kind.map(|(kind, _)| *kind)
    };
    let mut waiting = roots(wasm)?;
    let calls = calls(wasm)?;
    let (mut reached, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(function) = waiting.pop() {
        // What begins a panic is where it has begun.
        if kind_of(function).is_some() || !reached.insert(function) {
            continue;
        }
        for called in calls.get(&function).into_iter().flatten() {
            match kind_of(*called) {
                Some(kind) => {
                    let by = names.get(&function).map_or("?", String::as_str);
                    found.push((by.to_owned(), kind));
                }
                None => waiting.push(*called),
            }
        }
    }
    Ok(Paths(found))
}

/// The functions that are called from outside, or by way of a table.
fn roots(wasm: &[u8]) -> Result<Vec<u32>> {
    let mut roots = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    roots.extend((export.kind == ExternalKind::Func).then_some(export.index));
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    if let ElementItems::Functions(functions) = element?.items {
                        for function in functions {
                            roots.push(function?);
                        }
                    }
                }
            }
            Payload::StartSection { func, .. } => roots.push(func),
            _ => {}
        }
    }
    Ok(roots)
}

/// Whom each function calls, once for each place where it does.
fn calls(wasm: &[u8]) -> Result<BTreeMap<u32, Vec<u32>>> {
    let mut calls = BTreeMap::new();
    let mut index = imported_functions(wasm)?;
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else {
            continue;
        };
        let mut called = Vec::new();
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } = operator? {
                called.push(function_index);
            }
        }
        calls.insert(index, called);
        index += 1;
    }
    Ok(calls)
}

/// Clears what says where a panic began: paths of source files, and the records of path, length, line and column. Only
/// a panic's text would name them.
fn clear_places(wasm: &mut [u8]) -> Result {
    let segments = data_segments(wasm)?;
    for (start, segment) in &segments {
        for path in source_paths(&wasm[segment.clone()]) {
            let address = start + u32::try_from(path.start)?;
            let length = u32::try_from(path.len())?;
            let place = segment.start + path.start;
            wasm[place..place + path.len()].fill(0);
            let record = [address.to_le_bytes(), length.to_le_bytes()].concat();
            for (_, segment) in &segments {
                clear_records(&mut wasm[segment.clone()], &record);
            }
        }
    }
    Ok(())
}

/// Clears what panics would say.
fn clear_texts(wasm: &mut [u8]) -> Result {
    for (_, segment) in data_segments(wasm)? {
        let data = &mut wasm[segment];
        for text in TEXTS.iter().map(|text| text.as_bytes()) {
            let mut place = 0;
            while let Some(found) = data.get_mut(place..place + text.len()) {
                if found == text {
                    found.fill(0);
                }
                place += 1;
            }
        }
    }
    Ok(())
}

/// Clears each 16 octets that begin with `record`.
fn clear_records(data: &mut [u8], record: &[u8]) {
    let mut place = 0;
    while let Some(found) = data.get_mut(place..place + 16) {
        if found.starts_with(record) {
            found.fill(0);
        }
        place += 4;
    }
}

/// Where paths of source files stand.
fn source_paths(data: &[u8]) -> Vec<Range<usize>> {
    // The standard library's, those of crates of others (dist.rs gives them this name), and ours.
    let starts = ["/rustc/", "cargo/", "src/"].map(str::as_bytes);
    let mut paths = Vec::new();
    let mut place = 0;
    while let Some(rest) = data.get(place..) {
        let begins = starts.iter().any(|start| rest.starts_with(start));
        let end = rest.windows(3).position(|window| window == b".rs");
        match end.filter(|end| begins && rest[..*end].is_ascii()) {
            Some(end) => {
                paths.push(place..place + end + 3);
                place += end + 3;
            }
            None if rest.is_empty() => break,
            None => place += 1,
        }
    }
    paths
}

/// The segments of data: their addresses in memory, and where they stand in the module.
fn data_segments(wasm: &[u8]) -> Result<Vec<(u32, Range<usize>)>> {
    let mut segments = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::DataSection(section) = payload? else {
            continue;
        };
        for data in section {
            let data = data?;
            if let DataKind::Active { offset_expr, .. } = data.kind
                && let Operator::I32Const { value } = offset_expr.get_operators_reader().read()?
            {
                let end = data.range.end;
                segments.push((value.cast_unsigned(), end - data.data.len()..end));
            }
        }
    }
    Ok(segments)
}

fn with_traps(wasm: &[u8], indices: &BTreeSet<u32>) -> Result<Vec<u8>> {
    let mut module = Module::new();
    let mut index = imported_functions(wasm)?;
    let end = code_end(wasm)?;
    let mut code = CodeSection::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::CodeSectionEntry(body) => {
                if indices.contains(&index) {
                    let mut trap = Function::new([]);
                    trap.instruction(&Instruction::Unreachable);
                    trap.instruction(&Instruction::End);
                    code.function(&trap);
                } else {
                    code.raw(&wasm[body.range()]);
                }
                index += 1;
                if body.range().end == end {
                    module.section(&code);
                }
            }
            Payload::CodeSectionStart { .. } => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &wasm[range];
                    module.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(module.finish())
}

/// Is one of the functions `targets` called by a function that is none of `but`?
fn is_called(wasm: &[u8], targets: &BTreeSet<u32>, but: &BTreeSet<u32>) -> Result<bool> {
    let mut index = imported_functions(wasm)?;
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else {
            continue;
        };
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } = operator?
                && targets.contains(&function_index)
                && !but.contains(&index)
            {
                return Ok(true);
            }
        }
        index += 1;
    }
    Ok(false)
}

/// Indices and paths of the functions.
fn names(wasm: &[u8]) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Name(names) = section.as_known() else {
            continue;
        };
        for subsection in names {
            let Name::Function(functions) = subsection? else {
                continue;
            };
            for function in functions {
                let function = function?;
                found.push((function.index, without_hashes(function.name)));
            }
        }
    }
    Ok(found)
}

fn imported_functions(wasm: &[u8]) -> Result<u32> {
    let mut count = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                count += u32::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
            }
        }
    }
    Ok(count)
}

fn code_end(wasm: &[u8]) -> Result<usize> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionStart { range, .. } = payload? {
            return Ok(range.end);
        }
    }
    Err("the module has no code".into())
}

/// `core[c5930c85a12de822]::option::expect_failed::h0123456789abcdef` as `core::option::expect_failed`.
fn without_hashes(name: &str) -> String {
    let mut path = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        path.push_str(before);
        rest = match after.split_once(']') {
            Some((hash, behind)) if hash.chars().all(|c| c.is_ascii_hexdigit()) => behind,
            _ => {
                path.push('[');
                after
            }
        };
    }
    path.push_str(rest);
    match path.rsplit_once("::h") {
        Some((before, hash)) if hash.len() == 16 => before.to_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        ConstExpr, DataSection, EntityType, ExportKind, ExportSection, FunctionSection,
        ImportSection, MemorySection, MemoryType, NameMap, NameSection, TypeSection,
    };

    use super::*;

    /// A module with one import and two functions: one that begins a panic, and one of ours.
    fn module(names: [&str; 2]) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("m", "f", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        for _ in names {
            functions.function(0);
            let mut body = Function::new([]);
            body.instruction(&Instruction::Call(0));
            body.instruction(&Instruction::End);
            code.function(&body);
        }
        let mut map = NameMap::new();
        map.append(1, names[0]);
        map.append(2, names[1]);
        let mut section = NameSection::new();
        section.functions(&map);
        module.section(&types).section(&imports).section(&functions);
        module.section(&code).section(&section);
        module.finish()
    }

    /// A module with nothing but data, at an address.
    fn module_with_data(address: u32, data: Vec<u8>) -> Vec<u8> {
        let mut section = DataSection::new();
        section.active(0, &ConstExpr::i32_const(address as i32), data);
        let mut memory = MemorySection::new();
        let minimum = 1;
        let (maximum, page_size_log2) = (None, None);
        let (memory64, shared) = (false, false);
        memory.memory(MemoryType {
            minimum,
            maximum,
            memory64,
            shared,
            page_size_log2,
        });
        let mut module = Module::new();
        module.section(&memory).section(&section);
        module.finish()
    }

    fn bodies(wasm: &[u8]) -> Vec<Vec<u8>> {
        let payloads = Parser::new(0)
            .parse_all(wasm)
            .map(|payload| payload.unwrap());
        payloads
            .filter_map(|payload| match payload {
                Payload::CodeSectionEntry(body) => Some(wasm[body.range()].to_vec()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_function_that_begins_a_panic_only_traps() {
        let before = module([
            "core[c5930c85a12de822]::panicking::panic_fmt",
            "ours::panic",
        ]);
        let after = without_texts(&before).unwrap();
        assert_eq!(
            bodies(&after),
            [vec![0, 0, 0x0b], bodies(&before)[1].clone()]
        );
        wasmparser::validate(&after).unwrap();
    }

    #[test]
    fn calls_that_begin_a_panic_are_counted_where_they_can_be_reached() {
        let names = ["core::option::unwrap_failed", "ours::called", "ours::left"];
        // Both call the first, and only one of them is called.
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for calls in [0, 2, 2] {
            functions.function(0);
            let mut body = Function::new([]);
            for _ in 0..calls {
                body.instruction(&Instruction::Call(0));
            }
            body.instruction(&Instruction::End);
            code.function(&body);
        }
        let mut exports = ExportSection::new();
        exports.export("called", ExportKind::Func, 1);
        let mut map = NameMap::new();
        for (index, name) in names.iter().enumerate() {
            map.append(index as u32, name);
        }
        let mut section = NameSection::new();
        section.functions(&map);
        module.section(&types).section(&functions).section(&exports);
        module.section(&code).section(&section);

        let paths = paths(&module.finish()).unwrap();
        assert_eq!(paths.count(), 2);
        assert_eq!(paths.kinds(), "2 × a value that is not there");
        assert_eq!(
            paths.list(),
            "a value that is not there: ours::called\n".repeat(2)
        );
    }

    #[test]
    fn places_in_sources_are_cleared_with_their_records() {
        const AT: u32 = 1024;
        let path = "cargo/x/y.rs";
        let mut data = [path, "kept src/a.txt"].concat().into_bytes();
        data.resize(32, b' ');
        let kept = data[path.len()..].to_vec();
        for word in [AT, path.len() as u32, 7, 9, AT, 3] {
            data.extend(word.to_le_bytes());
        }
        let mut wasm = module_with_data(AT, data);
        clear_places(&mut wasm).unwrap();

        let (_, place) = data_segments(&wasm).unwrap().remove(0);
        let data = &wasm[place];
        assert!(data[..path.len()].iter().all(|octet| *octet == 0));
        assert_eq!(data[path.len()..32], kept);
        assert!(data[32..48].iter().all(|octet| *octet == 0));
        assert_eq!(data[48..52], AT.to_le_bytes());
    }

    #[test]
    fn what_panics_say_is_cleared_and_nothing_else() {
        let data = b"kept.mid > lenkept: capacity overflow.";
        let mut wasm = module_with_data(0, data.to_vec());
        clear_texts(&mut wasm).unwrap();
        let (_, place) = data_segments(&wasm).unwrap().remove(0);
        let cleared = b"kept.\0\0\0\0\0\0\0\0\0kept: \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0.";
        assert_eq!(&wasm[place], cleared);
    }

    #[test]
    fn a_module_without_the_expected_names_is_an_error() {
        assert!(without_texts(&module(["a", "b"])).is_err());
    }

    #[test]
    fn names_are_compared_without_hashes() {
        for name in [
            "core[c5930c85a12de822]::option::expect_failed",
            "core::option::expect_failed::h0123456789abcdef",
        ] {
            assert_eq!(without_hashes(name), "core::option::expect_failed");
        }
        assert_eq!(without_hashes("a[i]::<[u8]>"), "a[i]::<[u8]>");
    }
}
