namespace ValueFlow;

/// <summary>
/// A risk measure as a fold over the outcomes of a state and action, in their order. Implemented by a struct, which planning inlines: as fast as
/// the measures of the library, where a function (<see cref="Risk.Custom"/>) takes about twice the time.
/// </summary>
public interface IRiskFold
{
    /// <summary>What the fold begins with.</summary>
    double Start { get; }

    /// <summary>The fold after one more outcome r + discount V(next), and its probability.</summary>
    double Step(double folded, double probability, double outcome);

    /// <summary>The measure, from the fold after the last outcome.</summary>
    double Finish(double folded);
}

// The same in the words of the core; nothing is left of it once it is compiled.
internal readonly struct CoreFold<TFold>(TFold fold) : Core.Values.IOutcomeFold
    where TFold : struct, IRiskFold
{
    private readonly TFold fold = fold;

    public double Start => fold.Start;

    public double Step(double folded, double probability, double outcome) => fold.Step(folded, probability, outcome);

    public double Finish(double folded) => fold.Finish(folded);
}
