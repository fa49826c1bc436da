namespace ValueFlow.Studies

open TorchSharp
open ValueFlow.Core.Foundations

/// How studies use libtorch.
module internal Tensors =

    /// Asks for libtorch, with an error that says what is missing, and takes one of its threads: a second one gains nothing on tensors this small, and spins while it waits.
    let prepare () : unit =
        Lifetime.requireTorch ()
        torch.set_num_threads 1
