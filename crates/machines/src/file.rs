//! A description as it is written: what TOML must hold, with the place of each value.
//!
//! Structure is checked here (keys, types, what must be there); meaning is checked in
//! [`crate::check`]. docs/machines.md describes every key.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::description::{Loading, Side};

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub name: Spanned<String>,
    pub title: Spanned<String>,
    pub year: Spanned<u16>,
    pub vendor: String,
    pub summary: String,
    pub mmu: Mmu,
    pub tlb: Tlb,
    #[serde(default)]
    pub walk_cache: Vec<Spanned<WalkCache>>,
    #[serde(default)]
    pub cache: Vec<Spanned<Cache>>,
    pub memory: Memory,
    #[serde(default)]
    pub cost: BTreeMap<Spanned<String>, Spanned<Cost>>,
    pub sources: BTreeMap<Spanned<String>, SourceText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceText {
    pub title: String,
    pub url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mmu {
    pub name: Spanned<String>,
    pub differs: Option<String>,
    pub virtual_bits: Spanned<u8>,
    pub physical_bits: Spanned<u8>,
    pub linear_bits: Option<Spanned<u8>>,
    pub pages: Spanned<Vec<Spanned<String>>>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tlb {
    pub load: Spanned<Loading>,
    pub asid_bits: Spanned<u8>,
    pub note: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
    pub array: Spanned<Vec<Spanned<Array>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Array {
    pub level: Spanned<u8>,
    pub side: Spanned<Side>,
    pub pages: Spanned<Vec<Spanned<String>>>,
    pub entries: Spanned<u32>,
    pub ways: Spanned<Ways>,
    pub replacement: Option<Spanned<String>>,
    pub note: Option<String>,
    pub not_modelled: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}

/// A number of ways, or `"full"`.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a number of ways, or \"full\"")]
pub enum Ways {
    Number(u32),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalkCache {
    pub name: String,
    pub reach: Spanned<String>,
    pub entries: Spanned<u32>,
    pub ways: Spanned<Ways>,
    pub note: Option<String>,
    pub not_modelled: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    pub level: Spanned<u8>,
    pub side: Spanned<Side>,
    pub size: Spanned<String>,
    pub ways: Spanned<Ways>,
    pub line: Spanned<u32>,
    pub latency: Option<Spanned<u64>>,
    pub note: Option<String>,
    pub not_modelled: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub ram: Spanned<String>,
    pub typical: Vec<Spanned<String>>,
    pub latency: Option<Spanned<u64>>,
    pub note: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    pub value: Spanned<u64>,
    pub note: Option<String>,
    pub source: Spanned<String>,
    pub place: Option<String>,
    pub checked: bool,
}
