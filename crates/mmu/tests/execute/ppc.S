# The PowerPC guest: takes records of states, performs each access, records what happened.
#
#   0xfff00000   this ROM: exception vectors (MSR[IP] = 1), then the runner, then the accesses
#   0x00008000   the command: how many records wait; 0 when they are done
#   0x01000000   the records, 128 bytes each
#
# A record, in words (big-endian):
#
#   in     0 SDR1   1 segment register   2 EA   3 MSR   4 where to go   5 what a store stores
#   out    6 vector  7 r3 (what was loaded or fetched)  8 DSISR  9 DAR  10 SRR0  11 SRR1
#   both  12 address, word 0, word 1 of a PTE; 15, 18, 21 likewise; address 0: none
#
# The runner runs untranslated. An access runs with MSR[DR] alone (a load or store, of an
# instruction in this ROM) or MSR[IR] alone (a fetch), and with MSR[PR] as the record says. It ends
# with a system call, or with the exception that it caused; r20 to r31 are the runner's.

        .set    COMMAND, 0x8000
        .set    RECORDS_UPPER, 0x0100
        .set    RECORD_BYTES, 128
        .set    PTES, 4
        .set    SDR1, 25
        .set    DSISR, 18
        .set    DAR, 19
        .set    SRR0, 26
        .set    SRR1, 27
        .set    IBAT0U, 528
        .set    DBAT0U, 536

        .section .text
        .globl  _start

        .macro  vector number
        .org    \number
        li      31, \number
        b       finish
        .endm

        .org    0x100
_start:
        b       start
        vector  0x200
        vector  0x300
        vector  0x400
        vector  0x500
        vector  0x600
        vector  0x700
        vector  0x800
        vector  0x900
        vector  0xc00
        vector  0xd00

        .org    0x1000
start:
        # No block address translation.
        li      0, 0
        .irp    n, 0, 2, 4, 6
        mtspr   IBAT0U+\n, 0
        mtspr   DBAT0U+\n, 0
        .endr
        isync

wait:
        lis     21, 0
        ori     21, 21, COMMAND
        lwz     22, 0(21)               # records left
        cmpwi   22, 0
        beq     wait
        sync
        lis     20, RECORDS_UPPER       # the record

next:
        lwz     23, 0(20)
        mtspr   SDR1, 23
        lwz     23, 4(20)
        lwz     4, 8(20)                # EA
        mtsrin  23, 4
        li      24, PTES
        mtctr   24
        addi    25, 20, 48
put:
        lwz     26, 0(25)
        cmpwi   26, 0
        beq     put_next
        lwz     27, 8(25)
        stw     27, 4(26)
        eieio
        lwz     27, 4(25)
        stw     27, 0(26)
put_next:
        addi    25, 25, 12
        bdnz    put
        sync
        tlbie   4
        eieio
        tlbsync
        sync
        isync
        li      3, 0
        lwz     5, 20(20)
        lwz     23, 16(20)
        mtspr   SRR0, 23
        lwz     23, 12(20)
        mtspr   SRR1, 23
        rfi

finish:
        stw     31, 24(20)
        stw     3, 28(20)
        mfspr   23, DSISR
        stw     23, 32(20)
        mfspr   23, DAR
        stw     23, 36(20)
        mfspr   23, SRR0
        stw     23, 40(20)
        mfspr   23, SRR1
        stw     23, 44(20)
        li      0, 0
        li      24, PTES
        mtctr   24
        addi    25, 20, 48
get:
        lwz     26, 0(25)
        cmpwi   26, 0
        beq     get_next
        lwz     27, 0(26)
        stw     27, 4(25)
        lwz     27, 4(26)
        stw     27, 8(25)
        stw     0, 0(26)
get_next:
        addi    25, 25, 12
        bdnz    get
        addi    20, 20, RECORD_BYTES
        addi    22, 22, -1
        cmpwi   22, 0
        bne     next
        sync
        stw     0, 0(21)
        b       wait

        .org    0x2000
load:
        lwz     3, 0(4)
        sc
        .org    0x2100
store:
        stw     5, 0(4)
        sc
