//! The list of machines, word for word; and the table in the book.

use pagewalk_machines::{
    DOCUMENT_BEGIN, DOCUMENT_END, Description, NAMES, built_in, document_table, list,
};

const LIST: &str = "\
NAME         YEAR  MMU      TLB ENTRIES BY PAGE SIZE
vax-11-780   1977  linear   L1 64
i386         1985  ia32     L1 32
r3000        1990  r3000    L1 64, loaded by software
ppc604       1994  ppc      L1i 128, L1d 128
pentium-pro  1995  pae      L1i 32x4K + 2x2M, L1d 64x4K + 8x2M
k8           2003  x86-64   L1i 32x4K + 8x2M, L1d 32x4K + 8x2M, L2i 512x4K, L2d 512x4K
nehalem      2009  x86-64   L1i 128x4K + 7x2M, L1d 64x4K + 32x2M, L2 512x4K
skylake      2015  x86-64   L1i 128x4K + 8x2M, L1d 64x4K + 32x2M + 4x1G, L2 1536x4K+2M + 16x1G
cortex-a76   2018  aarch64  L1i 48, L1d 48, L2 1280
c910         2019  sv39     L1i 32, L1d 16x4K+2M + 1x1G, L2 1024
u74          2020  sv39     L1i 40, L1d 40, L2 512x4K
golden-cove  2021  x86-64   L1i 256x4K + 32x2M, L1d 96x4K + 32x2M + 8x1G, L2 2048
zen4         2022  x86-64   L1i 64, L1d 72, L2i 512x4K+2M, L2d 3072x4K+2M + 64x1G
";

fn all() -> Vec<Description> {
    let read = |name: &&str| built_in(name).expect("a name").expect("a good description");
    NAMES.iter().map(read).collect()
}

#[test]
fn the_list_of_machines() {
    assert_eq!(list(&all()), LIST);
}

#[test]
fn the_books_table_is_made_from_the_files() {
    let path = "../../docs/machines.md";
    let book = std::fs::read_to_string(path).expect("the book");
    let (before, rest) = book.split_once(DOCUMENT_BEGIN).expect("the table's begin");
    let (_, after) = rest.split_once(DOCUMENT_END).expect("the table's end");
    let table = document_table(&all());
    let updated = format!("{before}{DOCUMENT_BEGIN}\n\n{table}\n{DOCUMENT_END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &updated).expect("the book can be written");
        return;
    }
    assert_eq!(book, updated, "docs/machines.md is out of date: run this test with UPDATE_DOCS=1");
}
