namespace ValueFlow.Core.Returns

open System
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// Stocks at equal distances: Least, Least + Gap, ..., Least + (Count - 1) Gap.
[<Struct>]
type StockLattice =
    private
        {
            least: float
            gap: float
            count: int
        }

    /// The least stock.
    member this.Least = this.least
    /// The distance between neighbours.
    member this.Gap = this.gap
    /// The number of stocks.
    member this.Count = this.count
    /// The stock with an index.
    member this.At(index: int) : float = this.least + float index * this.gap

    /// The index of the nearest stock of the lattice, its ends included.
    member this.Nearest(stock: float) : int =
        let place = Math.Round((stock - this.least) / this.gap)
        int (Math.Clamp(place, 0.0, float (this.count - 1)))

/// Lattices of stocks, and what is done on them.
[<RequireQualifiedAccess>]
module StockLattice =

    /// The lattice. Throws an ArgumentException unless its least stock is finite, its gap positive and finite, and its count at least 1.
    let create (least: float) (gap: float) (count: int) : StockLattice =
        if not (Double.IsFinite least) then
            invalidArg (nameof least) $"the least stock must be finite but is {least}"

        if not (gap > 0.0 && Double.IsFinite gap) then
            invalidArg (nameof gap) $"the gap must be positive and finite but is {gap}"

        if count < 1 then
            invalidArg (nameof count) $"there must be at least 1 stock but there are {count}"

        { least = least; gap = gap; count = count }

    /// The lattice of whole numbers from the least to the most.
    let wholes (least: int) (most: int) : StockLattice = create (float least) 1.0 (most - least + 1)

    /// One application of (T eta)(s, c) = law of R + gamma G', G' ~ eta(S', (c + R) / gamma), the next stock moved to the nearest one of the lattice, for decisions that
    /// are given by an action for a state and a stock. Laws are in the order state * Count + index; a terminal state's return is zero. A gamma-contraction in sup W_p for every p &gt;= 1, gamma being the largest
    /// discount of a transition. Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement learning"; with a stock Pires et al. 2025.
    let evaluation
        (action: int -> float -> int)
        (discount: float)
        (lattice: StockLattice)
        (model: Model)
        : Distribution[] -> Distribution[] =
        if not (discount > 0.0 && discount <= 1.0) then
            invalidArg (nameof discount) $"discount must lie in (0, 1] but is {discount}"

        let chosen =
            Array.init (model.StateCount * lattice.Count) (fun node ->
                let state = node / lattice.Count

                if model.IsTerminal state then
                    -1
                else
                    let first = model.rowOffsets[state]
                    let actions = model.RowActions.Slice(first, model.rowOffsets[state + 1] - first)
                    let wanted = action state (lattice.At(node % lattice.Count))
                    let place = actions.IndexOf wanted

                    if place < 0 then
                        invalidArg (nameof action) $"state {state} must take one of its {actions.Length} actions but takes action {wanted}"

                    first + place)

        fun laws ->
            Shape.requireLength (nameof laws) chosen.Length laws.Length

            chosen
            |> Array.mapi (fun node row ->
                if row < 0 then
                    Distribution.point 0.0
                else
                    let stock = lattice.At(node % lattice.Count)

                    Distribution.mixture
                        [|
                            for k in model.offsets[row] .. model.offsets[row + 1] - 1 do
                                let gamma = discount * model.Continuation k
                                let reward = model.rewards[k]

                                let law =
                                    if gamma = 0.0 then
                                        Distribution.point reward
                                    else
                                        let next = lattice.Nearest((stock + reward) / gamma)
                                        Distribution.affine reward gamma laws[model.successors[k] * lattice.Count + next]

                                struct (model.probabilities[k], law)
                        |])
