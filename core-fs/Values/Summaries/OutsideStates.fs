namespace ValueFlow.Core.Values

open System
open System.Buffers
open TorchSharp
open ValueFlow.Core.Foundations

/// Which laws a ball around the nominal one holds.
[<RequireQualifiedAccess>]
type Support =
    /// Laws over all states: a state outside the nominal successors earns the row's mean reward.
    | AllStates
    /// Laws over the nominal successors only.
    | Nominal

/// States that a row does not name, and the worst that may happen there.
[<RequireQualifiedAccess>]
module internal OutsideStates =

    /// The states of least sign * V, in increasing order behind their number: the context of a sweep, to be given back. With one state more than a row can
    /// have, one of them is outside every row.
    let least (values: float[]) (sign: float) (wanted: int) : int[] =
        let count = Math.Min(wanted, values.Length)
        let least = ArrayPool<int>.Shared.Rent(Math.Max(1, count + 1))
        let mutable size = 0

        for state in 0 .. values.Length - 1 do
            if size < count || sign * values[state] < sign * values[least[size]] then
                let mutable place = if size < count then size + 1 else size
                size <- place
                // least[0] holds the size, least[1..size] the states in increasing order.
                while place > 1 && sign * values[least[place - 1]] > sign * values[state] do
                    least[place] <- least[place - 1]
                    place <- place - 1

                least[place] <- state

        least[0] <- size
        least

    /// Gives the context back.
    let release (context: int[]) : unit =
        if context.Length > 0 then
            ArrayPool<int>.Shared.Return context

    /// The least signed outcome outside a row: its mean reward, and the least value that no successor has. Infinite without a context.
    let worst (kernel: Kernel) (rowRewards: float[]) (sign: float) (values: float[]) (context: int[]) (row: int) : float =
        let mutable worst = Double.PositiveInfinity

        if context.Length > 0 then
            let model = kernel.Model
            let first = model.offsets[row]
            let count = model.offsets[row + 1] - first
            let mutable place = 1

            while place <= context[0] do
                let state = context[place]

                if model.successors.AsSpan(first, count).IndexOf state < 0 then
                    worst <- sign * (rowRewards[row] + kernel.Discount * values[state])
                    place <- Int32.MaxValue
                else
                    place <- place + 1

        worst

    /// The same for every row, (R), on tensors.
    let worstOnTensor (rows: TensorRows) (sign: float) (values: torch.Tensor) : torch.Tensor =
        let signed = Elementwise.times sign
        let wanted = Math.Min(int64 rows.Kernel.LongestRow + 1L, int64 rows.Kernel.Model.StateCount)
        let struct (least, states) = (signed values).topk(int wanted, largest = false, sorted = true)
        // (R, K, 1) successors against (1, 1, C) candidates: is the candidate a successor?
        let inside = (rows.Successors.unsqueeze(2L).eq(states.reshape [| 1L; 1L; -1L |])).any 1L
        let mean = signed ((rows.Probabilities.mul rows.Rewards).sum 1L)
        let earned = Elementwise.sum (mean.unsqueeze 1L) (Elementwise.times rows.Kernel.Discount (least.unsqueeze 0L))
        (Elementwise.fill inside Double.PositiveInfinity earned).amin [| 1L |]

    /// The least signed outcome of each row that a ball may move mass to, (R), on tensors: that of a nominal successor, or of any state.
    let reachedOnTensor
        (support: Support)
        (rows: TensorRows)
        (sign: float)
        (values: torch.Tensor)
        (signedOutcomes: torch.Tensor)
        : torch.Tensor =
        let nominal = signedOutcomes.amin [| 1L |]

        if support = Support.Nominal then
            nominal
        else
            torch.minimum (nominal, worstOnTensor rows sign values)

    /// The mean reward of each row, which <c>worst</c> asks for where a ball reaches all states; empty where it does not.
    let rowRewards (support: Support) (kernel: Kernel) : float[] = if support = Support.AllStates then kernel.RowRewards else [||]

    /// How much of a constant reaches a row: an outside state may be terminal, where a constant does not reach; it is never discounted by less than the discount.
    let factors (support: Support) (kernel: Kernel) : struct (float * float) =
        let struct (least, largest) = kernel.DiscountFactors

        if support = Support.AllStates then
            struct (Math.Min(least, kernel.Discount), Math.Max(largest, kernel.Discount * (1.0 + 4.0 * Bound.unitRoundoff)))
        else
            struct (least, largest)
