namespace ValueFlow.Core.Returns

#nowarn "9" // native pointers into pinned memory

open System
open System.Buffers
open System.Runtime.Intrinsics
open Microsoft.FSharp.NativeInterop

/// The quantile Huber loss and its gradient in float32, a batch at once: by all pairs, eight at a time, and from sorted targets. Both are the same loss up to rounding.
///
/// With c = clamp(d / k, -1, 1) the divided Huber loss is c (d - c k / 2), and its slope is c. The level only weighs what lies above a prediction against what lies below it, so that
/// four sums over the targets say everything: of c and of the loss, each side by itself.
[<RequireQualifiedAccess>]
module QuantileKernel =

    // Sums over targets above and below a prediction: of the slopes c, and of the losses.
    [<Struct>]
    type private Sides = { Above: float; Below: float; LossAbove: float; LossBelow: float }

    // All that a share of the rows needs.
    [<Struct; NoEquality; NoComparison>]
    type private Problem =
        {
            Rule: QuantileRule
            Targets: int
            /// 1 / (rows targets), times kappa where the loss is not divided.
            Scale: float
            PredictionsAt: nativeint
            TargetsAt: nativeint
            /// 0 for a loss without its gradient.
            GradientAt: nativeint
        }

    let private at (address: nativeint) (index: int) : nativeptr<float32> = NativePtr.add (NativePtr.ofNativeInt<float32> address) index

    let inline private pairSides (kappa: float32) (inverse: float32) (q: float32) (targets: nativeptr<float32>) (count: int) : Sides =
        let zero, one = Vector256<float32>.Zero, Vector256<float32>.One
        let prediction, inverses = Vector256.Create(q: float32), Vector256.Create(inverse: float32)
        let half = Vector256.Create((-0.5f * kappa): float32)
        let mutable above = zero
        let mutable below = zero
        let mutable lossAbove = zero
        let mutable lossBelow = zero
        let mutable j = 0

        while j <= count - 8 do
            let d = Vector256.Load(NativePtr.add targets j) - prediction
            let c = Vector256.MinNative(one, Vector256.MaxNative(-one, d * inverses))
            let up = Vector256.MaxNative(c, zero)
            let down = Vector256.MinNative(c, zero)
            let rest = Vector256.FusedMultiplyAdd(half, c, d)
            above <- above + up
            below <- below + down
            lossAbove <- Vector256.FusedMultiplyAdd(up, rest, lossAbove)
            lossBelow <- Vector256.FusedMultiplyAdd(down, rest, lossBelow)
            j <- j + 8

        let mutable a = Vector256.Sum above
        let mutable b = Vector256.Sum below
        let mutable la = Vector256.Sum lossAbove
        let mutable lb = Vector256.Sum lossBelow

        while j < count do
            let d = NativePtr.get targets j - q
            let c = MathF.Min(1.0f, MathF.Max(-1.0f, d * inverse))
            let rest = d - 0.5f * kappa * c

            if c > 0.0f then
                a <- a + c
                la <- la + c * rest
            else
                b <- b + c
                lb <- lb + c * rest

            j <- j + 1

        { Above = float a; Below = float b; LossAbove = float la; LossBelow = float lb }

    // From the sides of prediction i of a row: its share of the loss, and its gradient.
    let inline private settle (problem: Problem) (index: int) (level: float) (sides: Sides) : float =
        if problem.GradientAt <> 0n then
            NativePtr.write (at problem.GradientAt index) (float32 (-problem.Scale * (level * sides.Above + (1.0 - level) * sides.Below)))

        level * sides.LossAbove + (1.0 - level) * sides.LossBelow

    let private pairRows (problem: Problem) (first: int) (last: int) : float =
        let levels = problem.Rule.Levels
        let kappa = float32 problem.Rule.Kappa
        // The largest number stands for infinity: a difference of zero stays zero.
        let inverse = MathF.Min(Single.MaxValue, 1.0f / kappa)
        let mutable total = 0.0

        for row in first .. last - 1 do
            let targets = at problem.TargetsAt (row * problem.Targets)

            for i in 0 .. levels.Length - 1 do
                let index = row * levels.Length + i
                let q = NativePtr.read (at problem.PredictionsAt index)
                total <- total + settle problem index levels[i] (pairSides kappa inverse q targets problem.Targets)

        problem.Scale * total

    // The number of sorted values below x. Without a branch on data, which would be guessed wrong half of the time.
    let private countBelow (values: ReadOnlySpan<float32>) (x: float32) : int =
        let mutable first = 0
        let mutable length = values.Length

        while length > 1 do
            let half = length >>> 1
            first <- first + half * Convert.ToInt32(values[first + half - 1] < x)
            length <- length - half

        first + Convert.ToInt32(values[first] < x)

    // sums(n) = the sum of the first n values less the centre; squares likewise.
    let private accumulate (values: ReadOnlySpan<float32>) (centre: float) (sums: Span<float>) (squares: Span<float>) : unit =
        let mutable sum = 0.0
        let mutable square = 0.0
        sums[0] <- 0.0
        squares[0] <- 0.0

        for j in 0 .. values.Length - 1 do
            let x = float values[j] - centre
            sum <- sum + x
            square <- square + x * x
            sums[j + 1] <- sum
            squares[j + 1] <- square

    // The sum of d over the values from one number of them to another.
    let private linear (sums: ReadOnlySpan<float>) (q: float) (first: int) (last: int) : float =
        sums[last] - sums[first] - float (last - first) * q

    // The same of d^2.
    let private curved (sums: ReadOnlySpan<float>) (squares: ReadOnlySpan<float>) (q: float) (first: int) (last: int) : float =
        squares[last] - squares[first] - 2.0 * q * (sums[last] - sums[first]) + float (last - first) * q * q

    let private sortedSides
        (kappa: float)
        (centre: float)
        (prediction: float32)
        (values: ReadOnlySpan<float32>)
        (sums: ReadOnlySpan<float>)
        (squares: ReadOnlySpan<float>)
        : Sides =
        let q = float prediction - centre
        let count = values.Length
        let middle = countBelow values prediction
        let far = if kappa = 0.0 then middle else countBelow values (prediction - float32 kappa)
        // Of a Huber loss a neighbour on the border is worth the same on either side; of a plain one an equal target is worth nothing.
        let beyond = countBelow values (if kappa = 0.0 then MathF.BitIncrement prediction else prediction + float32 kappa)
        let farBelow, farAbove = float far, float (count - beyond)
        let below, above = -(linear sums q 0 far) - 0.5 * kappa * farBelow, linear sums q beyond count - 0.5 * kappa * farAbove

        if kappa = 0.0 then
            { Above = farAbove; Below = -farBelow; LossAbove = above; LossBelow = below }
        else
            {
                Above = farAbove + linear sums q middle beyond / kappa
                Below = -farBelow + linear sums q far middle / kappa
                LossAbove = above + curved sums squares q middle beyond / (2.0 * kappa)
                LossBelow = below + curved sums squares q far middle / (2.0 * kappa)
            }

    let private sortedRows (problem: Problem) (first: int) (last: int) : float =
        let levels = problem.Rule.Levels
        let count = problem.Targets
        let rentedValues = ArrayPool<float32>.Shared.Rent count
        let rentedSums = ArrayPool<float>.Shared.Rent(2 * (count + 1))
        let values = Span(rentedValues, 0, count)
        let sums = Span(rentedSums, 0, count + 1)
        let squares = Span(rentedSums, count + 1, count + 1)
        let mutable total = 0.0

        for row in first .. last - 1 do
            ReadOnlySpan<float32>(NativePtr.toVoidPtr (at problem.TargetsAt (row * count)), count).CopyTo values
            MemoryExtensions.Sort values
            let centre = float values[count / 2]
            accumulate (Span.op_Implicit values) centre sums squares

            for i in 0 .. levels.Length - 1 do
                let index = row * levels.Length + i
                let q = NativePtr.read (at problem.PredictionsAt index)

                let sides =
                    sortedSides problem.Rule.Kappa centre q (Span.op_Implicit values) (Span.op_Implicit sums) (Span.op_Implicit squares)

                total <- total + settle problem index levels[i] sides

        ArrayPool<float>.Shared.Return rentedSums
        ArrayPool<float32>.Shared.Return rentedValues
        problem.Scale * total

    // Fewer pairs, some 30 microseconds of work, do not pay for a thread.
    [<Literal>]
    let private LeastShare = 160000L

    let private solve
        (isSorted: bool)
        (rule: QuantileRule)
        (threads: int)
        (predictions: ReadOnlySpan<float32>)
        (targets: ReadOnlySpan<float32>)
        (gradient: Span<float32>)
        : float =
        QuantileRule.require rule
        RowCheck.threads threads
        let rows = RowCheck.rows (nameof predictions) rule.Levels.Length predictions
        RowCheck.rows (nameof targets) rows targets |> ignore

        if gradient.Length > 0 then
            RowCheck.length (nameof gradient) predictions.Length gradient.Length

        let count = targets.Length / rows
        RowCheck.finite (nameof predictions) rule.Levels.Length predictions
        RowCheck.finite (nameof targets) count targets
        use pp = fixed predictions
        use pt = fixed targets
        use pg = fixed gradient

        let problem =
            {
                Rule = rule
                Targets = count
                Scale = QuantileRule.factor rule / (float rows * float count)
                PredictionsAt = NativePtr.toNativeInt pp
                TargetsAt = NativePtr.toNativeInt pt
                GradientAt = if gradient.Length > 0 then NativePtr.toNativeInt pg else 0n
            }

        let shares = RowShares.count threads rows (int64 predictions.Length * int64 count) LeastShare

        if shares = 1 then
            if isSorted then sortedRows problem 0 rows else pairRows problem 0 rows
        else
            RowShares.sum shares rows (fun first last -> if isSorted then sortedRows problem first last else pairRows problem first last)

    /// The loss by all pairs, and its gradient by the predictions unless the span for it is empty. Predictions hold a row's levels, row by row; targets as many numbers for each
    /// row, however many those are. There are at most so many threads; small batches are not cut, and on one thread no memory is taken. Throws an ArgumentException for lengths that do not fit and numbers that are not finite.
    let pairwise rule threads (predictions: ReadOnlySpan<float32>) (targets: ReadOnlySpan<float32>) (gradient: Span<float32>) : float =
        solve false rule threads predictions targets gradient

    /// The same from sorted targets and their prefix sums: O((N + M) log M) instead of O(N M) for N predictions and M targets, which pays for long rows.
    let sorted rule threads (predictions: ReadOnlySpan<float32>) (targets: ReadOnlySpan<float32>) (gradient: Span<float32>) : float =
        solve true rule threads predictions targets gradient

    // Measured: eight pairs at a time beat a sort up to rows of about this many targets and predictions.
    [<Literal>]
    let private LongRow = 768

    /// The loss and its gradient as by <c>pairwise</c>, by whichever way is faster.
    let lossAndGradient
        rule
        threads
        (predictions: ReadOnlySpan<float32>)
        (targets: ReadOnlySpan<float32>)
        (gradient: Span<float32>)
        : float =
        let rows = max 1 (predictions.Length / max 1 (rule: QuantileRule).Levels.Length)
        solve (min rule.Levels.Length (targets.Length / rows) >= LongRow) rule threads predictions targets gradient
