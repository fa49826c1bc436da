namespace ValueFlow.Core.Flows

open System
open System.Threading
open ValueFlow.Core.Foundations

/// Optimal transport that knows of labels. Minibatch transport that ignores them skews the law of x0 given the label, which at sampling time is not skewed; so the
/// rows of the first batch get labels too, at random from the batch's own, and pairs of different labels cost more.
/// Cheng and Schwing 2025, "The curse of conditions: analyzing and improving optimal transport for conditional flow-based generation".
[<RequireQualifiedAccess>]
module Conditional =

    let private requireLabels (count: int64) (labels: 'label[]) =
        if int64 labels.Length <> count then
            invalidArg (nameof labels) $"there must be a label for each of the {count} rows but there are {labels.Length}"

    /// The pairing of least sum of cost + weight * distance(label given to x0, label of x1), the distance being symmetric, finite and not negative.
    let weighted<'label> (cost: GroundCost) (weight: float) (distance: 'label -> 'label -> float) : Coupling<'label> =
        if not (weight >= 0.0 && Double.IsFinite weight) then
            invalidArg (nameof weight) $"the weight must be finite and not negative but is {weight}"

        {
            Name = $"condition-aware {weight}"
            IsPermutation = true
            Pair =
                fun generator x0 x1 labels ->
                    requireLabels x0.shape[0] labels
                    let given = Coupling.shuffled generator labels.Length
                    let source, target = Sample.OfTensor x0, Sample.OfTensor x1

                    let costs =
                        Array2D.init labels.Length labels.Length (fun i j ->
                            let apart = distance labels[given[i]] labels[j]

                            if not (apart >= 0.0 && Double.IsFinite apart) then
                                invalidArg (nameof distance) $"the distance of two labels must be finite and not negative but is {apart}"

                            Ground.between cost source.Axes i target.Axes j + weight * apart)

                    { Source = Coupling.identity x0.shape[0]; Target = (Assignment.solve costs).Columns }
            Prepare = ValueNone
        }

    /// The pairing of least cost within each class: the limit of infinite weight for labels that are equal or not. Each class is an assignment of its own.
    let withinClass<'label when 'label: equality> (cost: GroundCost) : Coupling<'label> =
        {
            Name = "optimal transport within classes"
            IsPermutation = true
            Pair =
                fun generator x0 x1 labels ->
                    requireLabels x0.shape[0] labels
                    let given = Coupling.shuffled generator labels.Length
                    let source, target = Sample.OfTensor x0, Sample.OfTensor x1
                    let pick (sample: Sample) (rows: int[]) = sample.Axes |> Array.map (fun axis -> rows |> Array.map (fun i -> axis[i]))
                    let answer = Array.zeroCreate<int> labels.Length

                    for _, columns in Array.init labels.Length id |> Array.groupBy (fun j -> labels[j]) do
                        let label = labels[columns[0]]
                        let rows = Array.init labels.Length id |> Array.filter (fun i -> labels[given[i]] = label)

                        let found =
                            Assignment.solveCosts CancellationToken.None (Assignment.costsOf cost (pick source rows) (pick target columns))

                        found.Columns |> Array.iteri (fun i j -> answer[rows[i]] <- columns[j])

                    { Source = Coupling.identity x0.shape[0]; Target = answer }
            Prepare = ValueNone
        }
