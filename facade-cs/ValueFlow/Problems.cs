using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Decision problems that come with the library.</summary>
public static class Problems
{
    /// <summary>The probability with which a move on the slippery FrozenLake goes astray: two thirds, half to either side.</summary>
    public static double Slippery => Core.Values.FrozenLake.slippery;

    /// <summary>FrozenLake: cross the ice from S to G without falling into a hole H. Entering G earns 1. Actions: left, down, right, up.</summary>
    /// <param name="map">Rows of S, F, H and G; the standard 4 x 4 map if not given.</param>
    /// <param name="slip">The probability of going astray; that of the slippery lake if not given.</param>
    /// <exception cref="ArgumentException">The map is wrong; every problem is listed.</exception>
    public static DecisionModel FrozenLake(IReadOnlyList<string>? map = null, double? slip = null) =>
        new(Core.Values.FrozenLake.create(map is null ? Core.Values.FrozenLake.map4x4 : [.. map], slip ?? Slippery));

    /// <summary>The standard FrozenLake map of 8 x 8.</summary>
    public static IReadOnlyList<string> FrozenLake8x8 => Core.Values.FrozenLake.map8x8.ToArray();

    /// <summary>CliffWalking, 4 x 12: every move earns -1, falling off the cliff -100 and back to the start. Actions: up, right, down, left.</summary>
    /// <param name="slip">The probability of going astray, half to either side.</param>
    public static DecisionModel CliffWalking(double slip = 0) => new(Core.Values.CliffWalking.create(slip));

    /// <summary>Taxi: fetch a passenger and deliver them; 500 states.</summary>
    public static DecisionModel Taxi() => new(Core.Values.Taxi.create());

    /// <summary>A random model: every state and action leads to <paramref name="branching"/> states, and earns a reward in [0, 1).</summary>
    public static DecisionModel Garnet(int seed, int states, int actions, int branching) =>
        new(Core.Values.Garnet.create(new Core.Foundations.Generator(seed), states, actions, branching));

    /// <summary>A random walk between two terminal ends; arriving at the right one, labelled "right", earns 1.</summary>
    public static DecisionModel RandomWalk(int states, double right = 0.5) => new(Chain.randomWalk(states, right));

    /// <summary>RiverSwim: swimming right against the current, or drifting left.</summary>
    public static DecisionModel RiverSwim(int states = 6) => new(Chain.riverSwim(states));
}
