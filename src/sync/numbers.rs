//! Numbers of 64 bits for others to see. No model checker runs them, because nothing waits for them
//! or depends on them.

pub(crate) use imp::Numbers;

#[cfg(target_pointer_width = "64")]
mod imp {
    use std::array;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Holds numbers that one thread at a time sets, and that any thread reads without waiting.
    #[derive(Debug)]
    pub(crate) struct Numbers<const N: usize>([AtomicUsize; N]);

    impl<const N: usize> Default for Numbers<N> {
        fn default() -> Self {
            Self(array::from_fn(|_| AtomicUsize::new(0)))
        }
    }

    impl<const N: usize> Numbers<N> {
        #[inline]
        pub(crate) fn set(&self, numbers: [u64; N]) {
            for (own, number) in self.0.iter().zip(numbers) {
                own.store(usize::try_from(number).unwrap_or(usize::MAX), Ordering::Relaxed);
            }
        }

        pub(crate) fn get(&self) -> [u64; N] {
            array::from_fn(|at| self.0[at].load(Ordering::Relaxed) as u64)
        }
    }
}

/// Uses a mutex, because many targets of 32 bits have no atomics of 64.
#[cfg(not(target_pointer_width = "64"))]
mod imp {
    use std::sync::{Mutex, PoisonError};

    #[derive(Debug)]
    pub(crate) struct Numbers<const N: usize>(Mutex<[u64; N]>);

    impl<const N: usize> Default for Numbers<N> {
        fn default() -> Self {
            Self(Mutex::new([0; N]))
        }
    }

    impl<const N: usize> Numbers<N> {
        pub(crate) fn set(&self, numbers: [u64; N]) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = numbers;
        }

        pub(crate) fn get(&self) -> [u64; N] {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
