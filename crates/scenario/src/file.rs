//! A scenario as it is written: what TOML must hold, with the place of each value.
//!
//! Structure is checked here (keys, types, what must be there); meaning is checked in `check.rs`.
//! docs/scenarios.md describes every key.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub title: String,
    pub about: String,
    #[serde(default)]
    pub features: Vec<String>,
    #[serde(default)]
    pub text: Option<String>,
    pub machine: Spanned<Machine>,
    #[serde(default)]
    pub file: Vec<Spanned<DataFile>>,
    pub process: Spanned<Vec<Spanned<Process>>>,
    #[serde(default)]
    pub expect: Vec<Spanned<Expect>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub mmu: Option<Spanned<String>>,
    pub word: Option<Spanned<u64>>,
    pub page: Option<Spanned<u64>>,
    pub pages: Option<Spanned<u64>>,
    pub segments: Option<Spanned<u64>>,
    pub segment: Option<Spanned<u64>>,
    pub frames: Spanned<u64>,
    #[serde(default)]
    pub order: Vec<Spanned<u64>>,
    pub tlb: Option<Spanned<String>>,
    pub policy: Option<Spanned<String>>,
    pub scope: Option<Spanned<String>>,
    pub resident: Option<Spanned<u64>>,
    pub swap: Option<Spanned<u64>>,
    pub quantum: Option<Spanned<u64>>,
    #[serde(default)]
    pub schedule: Vec<Spanned<Turn>>,
    #[serde(default)]
    pub memory: Vec<u64>,
    pub spaces: Option<Spanned<u64>>,
    pub share_tables: Option<Spanned<String>>,
    pub base: Option<Spanned<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    pub run: Option<Spanned<String>>,
    pub instructions: Option<Spanned<u64>>,
    pub swap_out: Option<Spanned<String>>,
    pub swap_in: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    pub name: Spanned<String>,
    pub pages: Option<Spanned<u64>>,
    #[serde(default)]
    pub words: Vec<u64>,
    #[serde(default)]
    pub frames: Vec<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub name: Spanned<String>,
    #[serde(default)]
    pub map: Vec<Spanned<Map>>,
    #[serde(default)]
    pub code: Option<Spanned<String>>,
    #[serde(default)]
    pub registers: BTreeMap<Spanned<String>, i64>,
    #[serde(default)]
    pub warm: Vec<Spanned<u64>>,
    pub bounds: Option<Spanned<Bounds>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    pub base: u64,
    pub words: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    pub page: Spanned<u64>,
    pub pages: Option<Spanned<u64>>,
    pub file: Option<Spanned<String>>,
    pub from: Option<Spanned<u64>>,
    pub rights: Option<Spanned<String>>,
    #[serde(default)]
    pub shared: bool,
    #[serde(default)]
    pub frames: Vec<Spanned<u64>>,
    #[serde(default)]
    pub words: Vec<u64>,
    #[serde(default)]
    pub swapped: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub after: Option<Spanned<String>>,
    #[serde(default)]
    pub memory: BTreeMap<Spanned<String>, u64>,
    #[serde(default)]
    pub registers: BTreeMap<Spanned<String>, i64>,
    #[serde(default)]
    pub pages: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    pub counters: BTreeMap<Spanned<String>, u64>,
    #[serde(default)]
    pub status: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    pub frames: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    pub swap: BTreeMap<Spanned<String>, String>,
}
