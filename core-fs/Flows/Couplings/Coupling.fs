namespace ValueFlow.Core.Flows

open System
open System.Threading
open TorchSharp
open ValueFlow.Core.Foundations

/// Pairs of a batch: pair k joins row Source[k] of the first batch with row Target[k] of the second.
type Pairing =
    {
        /// Rows of the first batch.
        Source: int[]
        /// Rows of the second batch.
        Target: int[]
    }

/// A paired batch. The tensors are new, hold no gradient, and belong to the caller.
type CoupledPairs<'label> =
    {
        /// x0: the first member of each pair.
        Start: torch.Tensor
        /// x1: the second member of each pair.
        Finish: torch.Tensor
        /// The label of each pair: that of its second member. Empty where no labels were given.
        Labels: 'label[]
        /// Which rows were paired.
        Pairing: Pairing
    }

/// A joint law of two batches, given by their pairs. Labels belong to the second batch and travel with it.
type Coupling<'label> =
    {
        /// A name for reports.
        Name: string
        /// Whether each row of both batches is in exactly one pair. Else the marginals hold in the mean only.
        IsPermutation: bool
        /// The rows to pair, of batches (n, ...) of one shape and type, with a label for each row of the second or none at all.
        Pair: Generator -> torch.Tensor -> torch.Tensor -> 'label[] -> Pairing
        /// What becomes of the first batch before rows are paired: most couplings leave it, a data-dependent one makes it from the second.
        Prepare: (Generator -> torch.Tensor -> torch.Tensor) voption
    }

/// Makes couplings of minibatches.
[<RequireQualifiedAccess>]
module Coupling =

    let internal shuffled (generator: Generator) (count: int) : int[] = Sampling.distinct generator count count

    let private require (x0: torch.Tensor) (x1: torch.Tensor) (labels: 'label[]) =
        if x1.dim () = 0L then
            invalidArg (nameof x1) "a batch must have a batch dimension but is 0-dimensional"

        if x1.shape[0] = 0L then
            invalidArg (nameof x1) "a batch must have at least one row but has none"

        Shape.require (nameof x0) (List.ofArray x1.shape) x0
        Shape.requireType (nameof x0) x1.dtype x0

        if labels.Length <> 0 && int64 labels.Length <> x1.shape[0] then
            invalidArg (nameof labels) $"there must be a label for each of the {x1.shape[0]} rows, or none, but there are {labels.Length}"

    let private rows (indices: int[]) (batch: torch.Tensor) : torch.Tensor =
        Lifetime.keepDetached (fun () ->
            let index: torch.Tensor = torch.tensor (Array.map int64 indices)
            batch.index_select (0L, index))

    /// Pairs two batches of one shape and type. Randomness comes from the generator alone. Throws an ArgumentException for an empty batch, for batches of
    /// different shape or type, for labels that do not fit, and, where distances are needed, for a coordinate that is not finite.
    let apply
        (coupling: Coupling<'label>)
        (generator: Generator)
        (x0: torch.Tensor)
        (x1: torch.Tensor)
        (labels: 'label[])
        : CoupledPairs<'label> =
        require x0 x1 labels

        let first: torch.Tensor =
            match coupling.Prepare with
            | ValueSome make ->
                let made = Lifetime.keepDetached (fun () -> (make generator x1).alias())

                try
                    require made x1 labels
                with _ ->
                    made.Dispose()
                    reraise ()

                made
            | ValueNone -> x0

        try
            let pairing = coupling.Pair generator first x1 labels

            {
                Start = rows pairing.Source first
                Finish = rows pairing.Target x1
                Labels = if labels.Length = 0 then labels else pairing.Target |> Array.map (fun j -> labels[j])
                Pairing = pairing
            }
        finally
            if coupling.Prepare.IsSome then
                first.Dispose()

    let internal identity (count: int64) : int[] = Array.init (int count) id

    /// Rows are paired at random: each pair is an independent draw from both laws.
    let independent<'label> : Coupling<'label> =
        {
            Name = "independent"
            IsPermutation = true
            Pair = fun generator x0 _ _ -> { Source = identity x0.shape[0]; Target = shuffled generator (int x0.shape[0]) }
            Prepare = ValueNone
        }

    /// The pairing of least total cost, a permutation: every row is used exactly once, nothing is drawn with replacement.
    /// Pooladian et al. 2023, "Multisample flow matching"; Tong et al. 2024, "Improving and generalizing flow-based generative models with minibatch optimal transport".
    let exact<'label> (cost: GroundCost) : Coupling<'label> =
        {
            Name = "exact optimal transport"
            IsPermutation = true
            Pair =
                fun _ x0 x1 _ ->
                    let found = Assignment.ofSamples cost CancellationToken.None (Sample.OfTensor x0) (Sample.OfTensor x1)
                    { Source = identity x0.shape[0]; Target = found.Columns }
            Prepare = ValueNone
        }

    /// Each row of the first batch draws its partner from its row of the regularised plan. Every first row is used once; second rows are used once in the mean
    /// only, so that some are missing and some come twice.
    let sinkhorn<'label> (options: SinkhornOptions) (regularisation: float) (cost: GroundCost) : Coupling<'label> =
        {
            Name = $"Sinkhorn {regularisation}"
            IsPermutation = false
            Pair =
                fun generator x0 x1 _ ->
                    let found = Sinkhorn.ofSamples options regularisation cost (Sample.OfTensor x0) (Sample.OfTensor x1)
                    let target = Array.init (int x0.shape[0]) (fun i -> Sampling.index generator (ReadOnlySpan<float>(found.Plan[i, *])))
                    { Source = identity x0.shape[0]; Target = target }
            Prepare = ValueNone
        }

    /// x0 is made from x1: noise around it, a masked or coarser copy (the starts that <c>DataCoupling</c> makes, say). Row k stays with row k; the first batch that is given is not used. The function gets x1
    /// and returns a new tensor of its shape and type. Albergo et al. 2024, "Stochastic interpolants with data-dependent couplings".
    let dataDependent<'label> (make: Generator -> torch.Tensor -> torch.Tensor) : Coupling<'label> =
        {
            Name = "data-dependent"
            IsPermutation = true
            Pair = fun _ x0 _ _ -> { Source = identity x0.shape[0]; Target = identity x0.shape[0] }
            Prepare = ValueSome make
        }
