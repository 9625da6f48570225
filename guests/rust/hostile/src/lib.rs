//! What the host must survive. It is granted nothing: every GRANT here would be a
//! mistake.

#[heliosdb::procedures]
mod hostile {
    use std::hint::black_box;

    use heliosdb::{Denial, Error, Result, log};

    /// Panics, which traps with this place in the message.
    pub fn panic_now() {
        panic!("this procedure panics");
    }

    /// Never returns, and uses no memory.
    pub fn spin() {
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }

    /// Takes memory until there is none, and writes to each page, since untouched
    /// memory costs nothing.
    pub fn grow() {
        const CHUNK_BYTES: usize = 1 << 20;
        let mut chunks = Vec::new();
        loop {
            chunks.push(black_box(vec![0xA5_u8; CHUNK_BYTES]));
        }
    }

    /// Calls itself until the stack of calls ends.
    pub fn recurse() -> i64 {
        deeper(0, black_box(i64::MAX))
    }

    /// Calls itself with frames that live in the guest's memory: its own stack, of
    /// 1 MiB below its data, ends first, which is an access out of bounds.
    pub fn recurse_in_memory() -> i64 {
        deeper_in_memory([0; 64])
    }

    /// Reads where no memory is.
    pub fn read_beyond() -> i64 {
        // SAFETY: there is none; the sandbox has to see to it.
        unsafe { black_box(0xFFFF_FFF0_usize as *const i64).read_volatile() }
    }

    /// Reads what it has given back, which another of its own values may have by now.
    pub fn use_after_free() -> i64 {
        let freed = Box::into_raw(Box::new(black_box(7_i64)));
        // SAFETY: there is none; the harm must be the guest's own.
        unsafe { drop(Box::from_raw(freed)) };
        let other = Box::new(black_box(8_i64));
        let found = unsafe { black_box(freed).read_volatile() };
        i64::from(found != i64::MIN && *other == 8)
    }

    /// Gives the same memory back twice.
    pub fn free_twice() {
        let freed = Box::into_raw(Box::new(black_box([7_i64; 32])));
        for _ in 0..2 {
            // SAFETY: there is none; the harm must be the guest's own.
            unsafe { drop(Box::from_raw(black_box(freed))) };
        }
    }

    /// Claims that a permission was refused that it never asked for: the host must
    /// not record a denial, nor suggest a GRANT.
    pub fn forge_denied() -> Result<i64> {
        Err(Error::Denied(vec![Denial {
            capability: "DATABASE_READ".into(),
            target: "main.secrets".into(),
        }]))
    }

    /// Writes ten million log lines.
    pub fn flood() {
        for _ in 0..10_000_000 {
            log::info("a line that is one of ten million");
        }
    }

    /// What follows the call depends on its result, so that the compiler can't make
    /// a loop of this.
    fn deeper(depth: i64, last: i64) -> i64 {
        if depth == last {
            return 0;
        }
        deeper(depth + 1, last).rotate_left(1) ^ depth
    }

    #[expect(unconditional_recursion, reason = "that is what it is for")]
    fn deeper_in_memory(frame: [i64; 64]) -> i64 {
        deeper_in_memory(black_box(frame)).wrapping_add(frame[0])
    }
}
